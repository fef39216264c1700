"""Audio that comes in, of any length, to chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.bundle.interface import Arrays, Interface

from .plan import Plan

# The share of what lies between two contexts in which a cut may move to where it is quiet.
MOVABLE = 0.4
# What is compared for loudness: as long as a pause between words.
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Chunk:
    """What the model sees at once, in samples from the beginning of the recording.

    start: of ``samples``. first, last: what it answers for, ``first <= sample < last``; the rest is context.
    """

    samples: Samples
    start: int
    first: int
    last: int
    is_last: bool

    def cut(self, outputs: Arrays, interface: Interface) -> Arrays:
        """The outputs for what this chunk answers for: without the frames that are its neighbours'.

        What has no time axis is as it was.
        """
        cut = dict(outputs)
        for tensor in interface.outputs:
            axis = tensor.shape[1] if len(tensor.shape) > 1 else None
            if isinstance(axis, str) and axis in interface.frames:
                step = interface.frames[axis].step
                end = None if self.is_last else (self.last - self.start) // step
                cut[tensor.name] = outputs[tensor.name][(self.first - self.start) // step : end]
        return cut


class Chunker:
    """Cuts what it is given. Its memory is that of one chunk, and of what is given at a time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.received = 0
        self._blocks: list[Samples] = []
        self._held = 0
        self._start = 0  # of what is held
        self._first = 0
        self._listener = plan.vad.listen() if plan.quiet and plan.vad is not None else None

    def push(self, block: Samples) -> list[Chunk]:
        """Take the next samples; return the chunks that are complete."""
        self._blocks.append(block)
        self._held += len(block)
        self.received += len(block)
        if self._listener is not None:
            self._listener.push(block)
        chunks = []
        # One sample more than a chunk is known to be needed: a recording that fits one is answered as it always was.
        while self._held > self.plan.chunk + self.plan.reserve:
            chunks.append(self._cut(self._whole()))
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunk, which is shorter; none where there was no audio."""
        held = self._whole()
        self._blocks, self._held = [], 0
        return [Chunk(held, self._start, self._first, self.received, True)] if len(held) else []

    def _whole(self) -> Samples:
        held = self._blocks[0] if len(self._blocks) == 1 else np.concatenate([np.zeros(0, np.float32), *self._blocks])
        self._blocks = [held]
        return held

    def _cut(self, held: Samples) -> Chunk:
        plan = self.plan
        latest = self._start + plan.chunk - plan.context
        join = self._quietest(held, latest) if plan.quiet else latest
        # Always as long, wherever the cut is: backends hold memory for every length that they meet.
        chunk = Chunk(held[: plan.chunk].copy(), self._start, self._first, join, False)
        start = max(0, join - plan.context)
        self._blocks = [held[start - self._start :].copy()]
        self._held -= start - self._start
        self._start, self._first = start, join
        if self._listener is not None:
            self._listener.forget(start)
        return chunk

    def _quietest(self, held: Samples, latest: int) -> int:
        """Where to cut: the middle of the stretch with the least sound or speech before ``latest``, the last of all."""
        step = self.plan.step
        room = int((latest - self._first) * MOVABLE) // step
        if room < 1:
            return latest
        earliest = latest - room * step
        half = max(1, round(PAUSE_SECONDS * self.plan.sampling_rate / step) // 2)
        begin = max(0, earliest - half * step - self._start)
        # Nothing beyond the chunk, of which there is as much as the blocks happen to bring.
        end = min(latest + half * step - self._start, self.plan.chunk)
        heard = held[begin:end]
        heard = heard[: len(heard) // step * step]
        if self._listener is None:
            activity = np.square(heard, dtype=np.float64).reshape(-1, step).mean(axis=1)
        else:
            first = self._start + begin
            activity = self._listener.activity(first, first + len(heard), step)
        sums = np.concatenate(([0.0], np.cumsum(activity)))
        cuts = np.arange(earliest, latest + 1, step)
        middle = (cuts - self._start - begin) // step
        lower, upper = np.maximum(middle - half, 0), np.minimum(middle + half, len(activity))
        share = (sums[upper] - sums[lower]) / np.maximum(upper - lower, 1)
        least = np.flatnonzero(share <= share.min() + 1e-12)
        return int(cuts[least[-1]])
