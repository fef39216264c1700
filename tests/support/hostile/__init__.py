"""Inputs that were made to break things; each module runs by itself: ``python -m support.hostile.manifests``."""
