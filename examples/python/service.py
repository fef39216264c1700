"""A service of one's own: many callers, one model, batches across them.

    python examples/python/service.py BUNDLE AUDIO...

Every recording is a caller of its own, as requests are in a service; the batcher computes clips of like length
together, and turns callers away where more wait than `Limits.queue`. `w2vc serve` is such a service over HTTP.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from w2vc_runtime import Model, W2vcError, load
from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.batching.asynchronous import AsyncBatcher, Limits
from w2vc_runtime.results import Result


def answers(model: Model, clips: Sequence[Samples]) -> list[Result | Exception]:
    """The answer of each clip of a batch, on one of the batcher's threads."""
    return list(model.infer(clips))


async def call(model: Model, batcher: AsyncBatcher[Result], path: str) -> str:
    """One caller: reading waits for the disk, and the batcher for others."""
    try:
        clip = await asyncio.to_thread(model.read, path)
        answer = await batcher.submit(clip, timeout=60)
    except W2vcError as error:
        return f"{path}: {error}"
    return f"{path}: {answer.to_text()}"


async def serve(bundle: str, paths: Sequence[str]) -> None:
    with load(bundle) as model:
        limits = Limits(batch=8, delay=0.01, queue=64)
        async with AsyncBatcher(lambda clips: answers(model, clips), limits, model.shares) as batcher:
            for line in await asyncio.gather(*(call(model, batcher, path) for path in paths)):
                print(line)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/python/service.py BUNDLE AUDIO...")
    asyncio.run(serve(sys.argv[1], sys.argv[2:]))
