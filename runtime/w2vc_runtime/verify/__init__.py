"""Whether a graph computes what PyTorch computed: when a bundle is made, and again anywhere."""
