"""Graph passes on onnxscript's IR, one a file."""
