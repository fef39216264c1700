"""Which clips share a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# Padding of a batch, as a share of what is padded: more of it costs more than running twice.
MOST_PADDING = 0.25

Fits = Callable[[int, int], bool]
"""Whether there is memory for a batch of so many clips, padded to so many samples."""


def buckets(lengths: Sequence[int], size: int, fits: Fits) -> Iterator[list[int]]:
    """Batches of clips of like length, as indices: the longest first, so that memory peaks at once.

    A batch has ``size`` clips at most, and no more padding than `MOST_PADDING` or memory than ``fits`` says. A clip
    alone is always a batch.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        together = [*batch, index]
        if batch and (len(together) > size or not joined([lengths[each] for each in together], fits)):
            yield batch
            together = [index]
        batch = together
    if batch:
        yield batch


def joined(lengths: Sequence[int], fits: Fits) -> bool:
    """Whether clips of these lengths may share a batch."""
    longest = max(lengths)
    return longest * len(lengths) <= (1 + MOST_PADDING) * sum(lengths) and fits(len(lengths), longest)
