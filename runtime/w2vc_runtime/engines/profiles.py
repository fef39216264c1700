"""Optimization profiles: the clips that an engine is compiled for, in seconds and batches."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from w2vc_runtime.bundle import EngineProfile, Interface
from w2vc_runtime.errors import OptionError

LONGEST_SECONDS = 3600
EXAMPLE = "seconds=0.5:2:5,batch=1:4:16"
SPEC = re.compile(r"seconds=([^:,]+):([^:,]+):([^:,]+),batch=([^:,]+):([^:,]+):([^:,]+)")


@dataclass(frozen=True)
class OptimizationProfile:
    """Clips from the least to the most that an engine takes, and those in between that it is tuned for.

    seconds: least, typical and most, of the longest clip of a batch. batch: least, typical and most clips.
    """

    seconds: tuple[float, float, float]
    batch: tuple[int, int, int]

    @classmethod
    def parse(cls, text: str) -> OptimizationProfile:
        """Read ``seconds=MIN:OPT:MAX,batch=MIN:OPT:MAX``; raise `OptionError` on anything else."""
        found = SPEC.fullmatch(text.replace(" ", ""))
        if found is None:
            raise OptionError(f"profile {text!r} is not seconds=MIN:OPT:MAX,batch=MIN:OPT:MAX, such as {EXAMPLE}")
        try:
            seconds = tuple(map(float, found.groups()[:3]))
        except ValueError as error:
            raise OptionError(f"profile {text!r}: seconds are numbers, such as 0.5:2:5") from error
        try:
            batch = tuple(map(int, found.groups()[3:]))
        except ValueError as error:
            raise OptionError(f"profile {text!r}: batch is whole numbers of clips, such as 1:4:16") from error
        if not all(map(math.isfinite, seconds)) or not 0 < min(seconds) <= max(seconds) <= LONGEST_SECONDS:
            raise OptionError(f"profile {text!r}: seconds must be above 0 and at most {LONGEST_SECONDS}")
        if min(batch) < 1:
            raise OptionError(f"profile {text!r}: a batch has at least 1 clip")
        for name, values in (("seconds", seconds), ("batch", batch)):
            if list(values) != sorted(values):
                raise OptionError(f"profile {text!r}: {name} must rise from MIN to OPT to MAX")
        return cls((seconds[0], seconds[1], seconds[2]), (batch[0], batch[1], batch[2]))

    def check(self, interface: Interface) -> None:
        """Raise `OptionError` where the shortest clip of the profile has no answer."""
        rate, shortest = interface.sampling_rate, interface.shortest
        if round(self.seconds[0] * rate) < shortest:
            raise OptionError(
                f"a profile starts at {self.seconds[0]:g} s, and the shortest clip that this model answers for "
                f"is {shortest / rate:g} s; start there or above"
            )

    def entry(self, interface: Interface) -> EngineProfile:
        """The profile as a manifest has it: with the shape of each input for such clips."""
        least, typical, most = (interface.shapes(*each) for each in zip(self.seconds, self.batch))
        shapes = {name: (least[name], typical[name], most[name]) for name in least}
        return EngineProfile(self.seconds, self.batch, shapes)


def default_profiles(interface: Interface) -> tuple[OptimizationProfile, ...]:
    """What speech needs: commands, sentences, paragraphs up to 30 s; fewer clips at once the longer they are."""
    start = interface.shortest / interface.sampling_rate
    return (
        OptimizationProfile((start, max(start, 2), max(start, 5)), (1, 4, 16)),
        OptimizationProfile((max(start, 5), max(start, 10), max(start, 15)), (1, 2, 8)),
        OptimizationProfile((max(start, 15), max(start, 20), max(start, 30)), (1, 1, 4)),
    )


def wide_profile(interface: Interface) -> OptimizationProfile:
    """All of speech in one profile, for ONNX Runtime, whose providers run an engine's first profile and no other."""
    start = interface.shortest / interface.sampling_rate
    return OptimizationProfile((start, max(start, 10), max(start, 30)), (1, 1, 8))
