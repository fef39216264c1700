"""What tests and benchmarks share: models to export, oracles, and what runs our commands."""
