"""A checkpoint to what the manifest says of it: where it is, its feature recipe, its vocabulary."""
