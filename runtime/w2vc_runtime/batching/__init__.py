"""Clips to batches: of one caller in order, and of many callers at once."""
