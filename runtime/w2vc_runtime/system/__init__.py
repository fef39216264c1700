"""What this machine has: memory and GPUs."""
