"""Engines of a bundle, run by TensorRT or TensorRT-RTX."""
