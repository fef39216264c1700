"""Samples to graph inputs: one recipe for each feature extractor of Hugging Face."""

from __future__ import annotations

from .log_mel import LogMel
from .waveform import Waveform

Recipe = Waveform | LogMel
RECIPES: dict[str, type[Waveform] | type[LogMel]] = {"waveform": Waveform, "log-mel": LogMel}

__all__ = ["RECIPES", "LogMel", "Recipe", "Waveform"]
