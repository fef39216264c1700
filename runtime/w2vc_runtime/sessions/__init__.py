"""Inference sessions: what runs a graph. `select` opens one; `base` says what it is."""
