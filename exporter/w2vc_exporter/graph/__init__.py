"""The ONNX graph: traced from PyTorch, rewritten by passes, written to a file."""
