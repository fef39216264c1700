"""What a graph is judged on: recordings, and what PyTorch computes."""
