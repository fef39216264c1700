"""Clips of many callers: batches, bounds, deadlines, cancellation, failures and the end."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from w2vc_runtime import OptionError
from w2vc_runtime.batching.asynchronous import (
    AsyncBatcher,
    ClosedBatcherError,
    DeadlineError,
    Limits,
    QueueFullError,
)


def clip(length: int) -> np.ndarray:
    return np.zeros(length, np.float32)


class Work:
    """Computes lengths, and remembers the batches. With a gate, it waits until that is open."""

    def __init__(self, gated=False):
        self.batches, self.gate = [], threading.Event()
        if not gated:
            self.gate.set()

    def __call__(self, clips):
        self.batches.append([len(each) for each in clips])
        self.gate.wait(10)
        return [ValueError("thirteen") if len(each) == 13 else len(each) for each in clips]


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_each_caller_gets_the_answer_of_its_own_clip():
    async def scene():
        work = Work()
        async with AsyncBatcher(work, Limits(batch=8, delay=0.05)) as batcher:
            lengths = [100 + index for index in range(40)]
            assert await asyncio.gather(*(batcher.submit(clip(each)) for each in lengths)) == lengths
        assert sorted(each for batch in work.batches for each in batch) == lengths
        assert len(work.batches) < 40
        assert all(len(batch) <= 8 for batch in work.batches)

    asyncio.run(scene())


def test_clips_of_other_lengths_wait_for_a_batch_of_their_own():
    async def scene():
        work = Work()
        async with AsyncBatcher(work, Limits(batch=4, delay=0.05)) as batcher:
            lengths = [1000, 100, 990, 101, 980, 99]
            assert await asyncio.gather(*map(batcher.submit, map(clip, lengths))) == lengths
        assert work.batches == [[1000, 990, 980], [100, 101, 99]]

    asyncio.run(scene())


def test_a_clip_that_is_wrong_fails_alone_and_a_batch_that_fails_fails_alone():
    async def scene():
        async with AsyncBatcher(Work(), Limits(batch=3, delay=0.05)) as batcher:
            found = await asyncio.gather(*map(batcher.submit, map(clip, (12, 13, 14))), return_exceptions=True)
            assert found[::2] == [12, 14]
            assert str(found[1]) == "thirteen"

        def broken(clips):
            if any(len(each) == 7 for each in clips):
                raise ZeroDivisionError("worker died")
            return [len(each) for each in clips]

        async with AsyncBatcher(broken, Limits(batch=1)) as batcher:
            with pytest.raises(ZeroDivisionError):
                await batcher.submit(clip(7))
            assert await batcher.submit(clip(8)) == 8
        async with AsyncBatcher(lambda clips: [], Limits(batch=1)) as batcher:
            with pytest.raises(RuntimeError, match="1 clips have 0 answers"):
                await batcher.submit(clip(7))

    asyncio.run(scene())


@pytest.mark.parametrize("closed", [False, True])
def test_a_worker_that_dies_is_replaced(closed, caplog):
    """Nobody asks after it has died: what waits is answered all the same, at the end too."""

    async def scene():
        died = []

        def observe(lengths, seconds):
            if not died:
                died.append(lengths)
                raise ZeroDivisionError("worker died")

        batcher = AsyncBatcher(Work(), Limits(batch=1, delay=0.0), observe=observe)
        answers = asyncio.gather(*(batcher.submit(clip(each), 5.0) for each in (10, 20, 30)))
        if closed:
            await asyncio.sleep(0)
            await batcher.close()
        assert await answers == [10, 20, 30]
        assert died == [[10]]
        await batcher.close()

    asyncio.run(scene())
    assert "a worker of the batcher died" in caplog.text


def test_a_full_queue_refuses_or_lets_wait():
    async def scene():
        work = Work(gated=True)
        async with AsyncBatcher(work, Limits(batch=1, delay=0, queue=2)) as batcher:
            first = asyncio.create_task(batcher.submit(clip(1)))
            await until(lambda: work.batches)
            others = [asyncio.create_task(batcher.submit(clip(each))) for each in (2, 3)]
            await until(lambda: batcher.waiting == 2)
            with pytest.raises(QueueFullError, match="2 clips wait already"):
                await batcher.submit(clip(4))
            patient = asyncio.create_task(batcher.submit(clip(5), patient=True))
            with pytest.raises(DeadlineError, match="no room in the queue"):
                await batcher.submit(clip(6), timeout=0.01, patient=True)
            work.gate.set()
            assert await asyncio.gather(first, *others, patient) == [1, 2, 3, 5]

    asyncio.run(scene())


def test_who_is_late_or_gone_is_not_computed():
    async def scene():
        work = Work(gated=True)
        async with AsyncBatcher(work, Limits(batch=1, delay=0)) as batcher:
            first = asyncio.create_task(batcher.submit(clip(1)))
            await until(lambda: work.batches)
            gone = asyncio.create_task(batcher.submit(clip(2)))
            await until(lambda: batcher.waiting == 1)
            gone.cancel()
            with pytest.raises(DeadlineError, match="there was no answer"):
                await batcher.submit(clip(3), timeout=0.02)
            await until(lambda: batcher.waiting == 0)
            work.gate.set()
            assert await first == 1
            assert await batcher.submit(clip(4)) == 4
        assert work.batches == [[1], [4]]

    asyncio.run(scene())


def test_closing_answers_what_waits_and_takes_no_more():
    async def scene():
        work = Work(gated=True)
        batcher = AsyncBatcher(work, Limits(batch=2, delay=5))
        tasks = [asyncio.create_task(batcher.submit(clip(each))) for each in (1, 2, 3)]
        await until(lambda: work.batches)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(ClosedBatcherError):
            await batcher.submit(clip(4))
        work.gate.set()
        await closing
        assert await asyncio.gather(*tasks) == [1, 2, 3]

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["batch", "queue", "workers"])
def test_limits_below_one_are_refused(name):
    with pytest.raises(OptionError, match=f"{name} must be at least 1"):
        Limits(**{name: 0})
    with pytest.raises(OptionError, match="delay"):
        Limits(delay=-1)
