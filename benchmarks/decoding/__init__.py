"""What the decoders are measured and compared on, and how their peers are run."""
