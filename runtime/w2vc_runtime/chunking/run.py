"""A recording through a model, chunk by chunk."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from w2vc_runtime.audio.blocks import BlockSource, read_blocks
from w2vc_runtime.audio.reader import Samples, expect_length, name_of
from w2vc_runtime.bundle import Interface, Manifest
from w2vc_runtime.errors import AudioError
from w2vc_runtime.results import Outputs, Result

from .chunker import Chunk, Chunker
from .collect import Collector, Piece
from .plan import Plan

Heard = Callable[[float], None]
"""Told, now and then, up to which second a recording was answered."""


class Computes(Protocol):
    """What a model is for chunks."""

    manifest: Manifest
    interface: Interface

    def outputs(self, clips: Sequence[Samples]) -> list[Outputs]:
        """The graph's outputs by name for each clip."""


def chunks(blocks: Iterable[Samples], plan: Plan, name: str) -> Iterator[Chunk]:
    """Chunks of audio that comes in blocks; raise `AudioError` where it is too short for an answer."""
    chunker = Chunker(plan)
    sounds = False
    for block in blocks:
        sounds = sounds or bool(block.any())
        yield from chunker.push(block)
    if chunker.received == 0:
        raise AudioError(f"{name} is empty: it holds no samples")
    expect_length(chunker.received, plan.shortest, plan.sampling_rate, name)
    if not sounds:
        warnings.warn(f"{name} is silent: every sample is zero", stacklevel=2)
    yield from chunker.end()


def pieces(
    model: Computes, source: BlockSource, plan: Plan, collector: Collector, heard: Heard = lambda seconds: None
) -> Iterator[list[Piece]]:
    """What becomes final with each chunk of a recording, and at its end."""
    interface = model.interface
    for chunk in chunks(read_blocks(source, plan.sampling_rate), plan, name_of(source)):
        (outputs,) = model.outputs([chunk.samples])
        start, end = chunk.first / plan.sampling_rate, chunk.last / plan.sampling_rate
        yield collector.add(chunk.cut(outputs, interface), start, end)
        heard(end)
    yield collector.end()


def answer(
    model: Computes, source: BlockSource, plan: Plan, collector: Collector, heard: Heard = lambda seconds: None
) -> Result:
    """The answer for a whole recording."""
    duration = 0.0

    def note(seconds: float) -> None:
        nonlocal duration
        duration = seconds
        heard(seconds)

    for _ in pieces(model, source, plan, collector, note):
        pass
    return collector.result(duration)
