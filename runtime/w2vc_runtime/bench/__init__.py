"""Latency and memory of a bundle on this machine, and plots of them."""
