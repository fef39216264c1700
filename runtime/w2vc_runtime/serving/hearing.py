"""Audio to answers, in the event loop: decoded in threads, computed beside the clips of others, joined as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from w2vc_runtime.audio.blocks import BlockSource, read_blocks, seconds_of
from w2vc_runtime.audio.reader import Samples, expect_length
from w2vc_runtime.chunking.chunker import Chunk, Chunker
from w2vc_runtime.chunking.collect import Piece, collector_for
from w2vc_runtime.chunking.plan import ChunkOptions, Plan
from w2vc_runtime.decoding import Decoder
from w2vc_runtime.errors import AudioError, TooLongError
from w2vc_runtime.results import Result, Windows
from w2vc_runtime.system.memory import duration_shown

from .models import Served
from .settings import Settings


class Hearing:
    """One recording, or one live session, on its way through a model.

    patient: whether its first chunk, too, waits for room in a full queue instead of being refused. decoder: of head
    ``ctc``; None for the greedy one.
    """

    def __init__(
        self,
        served: Served,
        settings: Settings,
        options: ChunkOptions,
        patient: bool = False,
        decoder: Decoder | None = None,
    ) -> None:
        self.plan: Plan = served.plan(options)
        self._served = served
        self._settings = settings
        self._chunker = Chunker(self.plan)
        self._collector = collector_for(served.model.manifest, options.pooled, decoder=decoder)
        self._patient = patient
        self._ends = time.monotonic() + settings.answer_time

    @property
    def seconds(self) -> float:
        """Of audio that came."""
        return self._chunker.received / self.plan.sampling_rate

    async def push(self, block: Samples) -> list[Piece]:
        """Take samples; return what no later ones can change. Raises `TooLongError` past the limit of the service."""
        chunks = await asyncio.to_thread(self._chunker.push, block)
        found = [piece for chunk in chunks for piece in await self._heard(chunk)]
        if self.seconds > self._settings.duration:
            raise too_long(self._settings.duration)
        return found

    async def end(self) -> list[Piece]:
        """What was still open; raise `AudioError` where there was too little for an answer."""
        if self._chunker.received == 0:
            raise AudioError("audio is empty: it holds no samples")
        expect_length(self._chunker.received, self.plan.shortest, self.plan.sampling_rate, "audio")
        found = [piece for chunk in self._chunker.end() for piece in await self._heard(chunk)]
        return [*found, *self._collector.end()]

    def result(self) -> Result:
        """The answer, after `end`: for what fits one window, that of the window."""
        result = self._collector.result(self.seconds)
        return result.windows[0].result if isinstance(result, Windows) and len(result.windows) == 1 else result

    def renew(self) -> None:
        """Give the next chunks as much time again: a live session has no end that was known."""
        self._ends = time.monotonic() + self._settings.answer_time

    async def _heard(self, chunk: Chunk) -> list[Piece]:
        left = max(0.0, self._ends - time.monotonic())
        outputs = await self._served.outputs(chunk.samples, left, self._patient)
        self._patient = True  # what has begun is not refused
        cut = chunk.cut(outputs, self._served.model.interface)
        rate = self.plan.sampling_rate
        return await asyncio.to_thread(self._collector.add, cut, chunk.first / rate, chunk.last / rate)


async def hear(hearing: Hearing, source: BlockSource, settings: Settings) -> AsyncIterator[list[Piece]]:
    """What becomes final of a file, chunk by chunk, and at its end."""
    if not isinstance(source, tuple):
        claimed = await asyncio.to_thread(seconds_of, source)
        if claimed is not None and claimed > settings.duration:
            raise too_long(settings.duration)
    blocks = await asyncio.to_thread(read_blocks, source, hearing.plan.sampling_rate)
    while (block := await asyncio.to_thread(_next, blocks)) is not None:
        if found := await hearing.push(block):
            yield found
    yield await hearing.end()


async def answer(served: Served, settings: Settings, source: BlockSource, options: ChunkOptions) -> Result:
    """The answer for a file."""
    hearing = Hearing(served, settings, options)
    async for _ in hear(hearing, source, settings):
        pass
    return hearing.result()


def too_long(seconds: float) -> TooLongError:
    """What a recording past the limit of the service is told."""
    return TooLongError(f"audio is too long: this service takes up to {duration_shown(seconds)}", None)


def _next(blocks: Iterator[Samples]) -> Samples | None:
    return next(blocks, None)
