"""Clips of many callers, computed in batches as they come: for services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.errors import OptionError, W2vcError

from .buckets import Fits, joined

Answer = TypeVar("Answer")
logger = logging.getLogger("w2vc")


class QueueFullError(W2vcError, RuntimeError):
    """As many clips wait as may; try again later."""


class DeadlineError(W2vcError, TimeoutError):
    """A clip was not answered in its time."""


class ClosedBatcherError(W2vcError, RuntimeError):
    """The batcher takes no more clips: it was closed."""


@dataclass(frozen=True)
class Limits:
    """What bounds a batcher.

    batch: the most clips that are computed together. delay: seconds that a clip waits for company at most.
    queue: the most clips that wait; more are refused. workers: batches that are computed at a time.
    """

    batch: int = 8
    delay: float = 0.01
    queue: int = 64
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("batch", "queue", "workers"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.delay < 0:
            raise OptionError(f"delay must be at least 0 seconds, got {self.delay:g}")


@dataclass(eq=False)
class _Waiting(Generic[Answer]):
    """A clip that waits. since, deadline: on the clock of `time.monotonic`."""

    clip: Samples
    answer: asyncio.Future[Answer]
    deadline: float | None
    since: float = field(default_factory=time.monotonic)


class AsyncBatcher(Generic[Answer]):
    """Computes the clips of many callers in batches of like length, in threads; for one event loop.

    compute: the answer, or what is wrong, of each clip of a batch; what it raises is the error of every clip in it, and
    of no other. A clip that is cancelled, or late, before its batch begins is left out of it. The first come is the
    first served: there are no priorities. A context manager, which closes it.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Samples]], Sequence[Answer | Exception]],
        limits: Limits = Limits(),  # it is frozen
        fits: Fits = lambda batch, samples: True,
        observe: Callable[[Sequence[int], float], None] = lambda lengths, seconds: None,
    ) -> None:
        """fits: as for `buckets`. observe: told the lengths of each batch, and the seconds that it took."""
        self._compute = compute
        self._limits = limits
        self._fits = fits
        self._observe = observe
        self._waiting: list[_Waiting[Answer]] = []
        self._came = asyncio.Event()
        self._closing = False
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="w2vc-batch")
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> AsyncBatcher[Answer]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """Clips that wait for their batch."""
        return len(self._waiting)

    async def submit(self, clip: Samples, timeout: float | None = None, patient: bool = False) -> Answer:
        """The answer of a clip; raise what is wrong with it, or with its batch.

        timeout: seconds until a `DeadlineError`, which also takes it out of the queue. Where the queue is full, raises
        `QueueFullError`, or waits for room where ``patient``, as the chunks of one recording do.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while len(self._waiting) >= self._limits.queue and not self._closing:
            if not patient:
                raise QueueFullError(f"{len(self._waiting)} clips wait already; try again later")
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineError(f"there was no room in the queue within {timeout:g} s")
            await asyncio.sleep(max(self._limits.delay, 0.005))
        if self._closing:
            raise ClosedBatcherError("this batcher is closed, and takes no more clips")
        waiting: _Waiting[Answer] = _Waiting(clip, asyncio.get_running_loop().create_future(), deadline)
        self._waiting.append(waiting)
        self._start()
        self._came.set()
        try:
            return await asyncio.wait_for(waiting.answer, timeout)
        except asyncio.TimeoutError as error:  # not the builtin before Python 3.11
            if waiting.answer.done() and not waiting.answer.cancelled():
                raise  # what computing it raised
            raise DeadlineError(f"there was no answer within {timeout:g} s") from error
        finally:
            waiting.answer.cancel()
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)

    async def close(self) -> None:
        """Answer what waits, take no more, and end the threads."""
        self._closing = True
        self._came.set()
        while alive := [worker for worker in self._workers if not worker.done()]:
            await asyncio.gather(*alive, return_exceptions=True)
        self._threads.shutdown(wait=False)

    def _start(self) -> None:
        """Have as many workers as there may be."""
        self._workers = [worker for worker in self._workers if not worker.done()]
        while len(self._workers) < self._limits.workers:
            worker = asyncio.get_running_loop().create_task(self._work())
            worker.add_done_callback(self._ended)
            self._workers.append(worker)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        """Replace a worker that died, as none should, where clips wait for one."""
        if worker.cancelled() or worker.exception() is None:
            return
        logger.error("a worker of the batcher died", exc_info=worker.exception())
        if self._waiting:
            self._start()

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._closing:
                    return
                self._came.clear()
                await self._came.wait()
            await self._company()
            batch = self._take()
            if batch:
                await self._answer(batch)

    async def _company(self) -> None:
        """Wait until a batch is full, or the first has waited long enough."""
        while self._waiting and len(self._waiting) < self._limits.batch and not self._closing:
            left = self._waiting[0].since + self._limits.delay - time.monotonic()
            if left <= 0:
                return
            self._came.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._came.wait(), left)

    def _take(self) -> list[_Waiting[Answer]]:
        """The first that waits, and those that fit its batch, by the nearest length."""
        now = time.monotonic()
        alive = [each for each in self._waiting if not each.answer.done()]
        alive = [each for each in alive if each.deadline is None or each.deadline > now]
        if not alive:
            self._waiting.clear()
            return []
        first = alive[0]
        batch = [first]
        for each in sorted(alive[1:], key=lambda each: abs(len(each.clip) - len(first.clip))):
            if len(batch) == self._limits.batch or not joined([len(b.clip) for b in [*batch, each]], self._fits):
                break
            batch.append(each)
        taken = set(map(id, batch))
        self._waiting = [each for each in alive if id(each) not in taken]
        return batch

    async def _answer(self, batch: list[_Waiting[Answer]]) -> None:
        clips = [each.clip for each in batch]
        begin = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self._threads, self._computed, clips)
        except Exception as error:
            logger.warning("a batch of %d failed: %s", len(batch), type(error).__name__)
            answers = [error] * len(batch)
        seconds = time.perf_counter() - begin
        for each, answer in zip(batch, answers):
            if each.answer.done():
                continue
            if isinstance(answer, Exception):
                each.answer.set_exception(answer)
            else:
                each.answer.set_result(answer)
        self._observe([len(clip) for clip in clips], seconds)

    def _computed(self, clips: Sequence[Samples]) -> Sequence[Answer | Exception]:
        answers = self._compute(clips)
        if len(answers) != len(clips):
            raise RuntimeError(f"{len(clips)} clips have {len(answers)} answers")
        return answers
