"""Logits to text."""

from __future__ import annotations

from collections.abc import Callable

from w2vc_runtime.bundle import Ctc

from .base import Decoder, DecodingStream, Hypothesis, Span
from .greedy import GreedyDecoder

DECODERS: dict[str, Callable[[Ctc], Decoder]] = {"greedy": GreedyDecoder}

__all__ = ["DECODERS", "Decoder", "DecodingStream", "GreedyDecoder", "Hypothesis", "Span"]
