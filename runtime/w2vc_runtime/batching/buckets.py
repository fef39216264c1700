"""Which clips share a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# On a GPU: padding of a batch, as a share of what is padded. More of it costs more than running twice.
MOST_PADDING = 0.25
# On a CPU padding takes as long as sound does. What a batch spares is to fetch the weights once more, which takes as
# long as half a second of sound; and what is long enough by itself keeps the processor as busy as it can be.
RUN_SECONDS = 0.5
MOST_SECONDS = 16.0

Shares = Callable[[Sequence[int]], bool]
"""Whether clips of these lengths, in samples, may share a batch."""


def pays(lengths: Sequence[int], sampling_rate: int, cpu: bool) -> bool:
    """Whether clips are computed sooner in one batch than alone. lengths: in samples. cpu: what computes, or a GPU."""
    padded, sound = max(lengths) * len(lengths), sum(lengths)
    if len(lengths) == 1 or not cpu:
        return padded <= (1 + MOST_PADDING) * sound
    spared = (len(lengths) - 1) * RUN_SECONDS * sampling_rate
    return padded - sound <= spared and padded <= MOST_SECONDS * sampling_rate


def buckets(lengths: Sequence[int], size: int, shares: Shares) -> Iterator[list[int]]:
    """Batches of clips of like length, as indices: the longest first, so that memory peaks at once.

    A batch has ``size`` clips at most, which may share it. A clip alone is always a batch.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        together = [*batch, index]
        if batch and (len(together) > size or not shares([lengths[each] for each in together])):
            yield batch
            together = [index]
        batch = together
    if batch:
        yield batch
