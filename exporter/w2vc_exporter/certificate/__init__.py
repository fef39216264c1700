"""The report of an export, for programs and for people."""
