"""Recordings of any length: cut into chunks with context on both sides, and joined again."""
