"""Work that is done ahead of who wants it, by threads, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Source = TypeVar("Source")
Made = TypeVar("Made")
# What is under way or done and not yet wanted, for each thread: more of it takes memory and no time off.
AHEAD = 2


def ahead(make: Callable[[Source], Made], sources: Iterable[Source], jobs: int) -> Iterator[tuple[Source, Made]]:
    """Each source and what is made of it, in order. With one job in between, with more by as many threads ahead.

    Sources are taken as they are needed, ``AHEAD`` a thread at most before the one that is wanted.
    """
    if jobs == 1:
        yield from ((source, make(source)) for source in sources)
        return
    left = iter(sources)
    with ThreadPoolExecutor(jobs, thread_name_prefix="w2vc-read") as threads:
        under_way: deque[tuple[Source, Future[Made]]] = deque()
        try:
            while True:
                wanted = islice(left, AHEAD * jobs - len(under_way))
                under_way.extend((source, threads.submit(make, source)) for source in wanted)
                if not under_way:
                    return
                source, future = under_way.popleft()
                yield source, future.result()
        finally:
            for _, future in under_way:
                future.cancel()
