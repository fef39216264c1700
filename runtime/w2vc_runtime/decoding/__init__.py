"""Logits to text, and a known text to its times."""

from __future__ import annotations

from collections.abc import Callable

from w2vc_runtime.bundle import Ctc

from .base import Decoder, DecodingStream, Hypothesis, Scores, Span
from .beam import BeamDecoder, BeamOptions
from .greedy import GreedyDecoder

DECODERS: dict[str, Callable[[Ctc, BeamOptions], Decoder]] = {
    "greedy": lambda rules, options: GreedyDecoder(rules),
    "beam": BeamDecoder,
}

__all__ = [
    "DECODERS", "BeamDecoder", "BeamOptions", "Decoder", "DecodingStream", "GreedyDecoder", "Hypothesis", "Scores",
    "Span",
]  # fmt: skip
