"""The command ``w2vc``: one file for each of its commands."""
