"""How a recording is cut: how long a chunk is, and how much of it is context."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from w2vc_runtime.bundle import Manifest
from w2vc_runtime.errors import OptionError

from .voice import RATE as VOICE_RATE
from .voice import VoiceActivity

# What models are trained on is rarely longer, and attention grows with the square of it.
CHUNK_SECONDS = 20.0
# Of a chunk, on each side: as in Hugging Face's pipelines, which cut like this.
CONTEXT_SHARE = 1 / 6
# Samples of the encoder's frame where no output has a time axis: 20 ms, as all of these models have.
FRAMES_A_SECOND = 50
# Outputs of these heads are for each frame; the others have one for a window, which then has no context.
FRAMEWISE = ("base", "ctc", "frame-classification", "pretraining")


@dataclass(frozen=True)
class ChunkOptions:
    """What may be chosen. None: by the model and the memory here. pooled: one answer in place of windows.

    chunk_seconds: of audio that the model sees at once. context_seconds: on each side of it, that is seen and whose
    outputs are those of the neighbours. vad: head ``ctc`` is cut where this voice activity model hears the least
    speech, in place of where it is the least loud: the path of ``silero_vad.onnx``, or what was loaded of it.
    """

    chunk_seconds: float | None = None
    context_seconds: float | None = None
    pooled: bool = False
    vad: str | os.PathLike[str] | VoiceActivity | None = None

    def __post_init__(self) -> None:
        if self.chunk_seconds is not None and not 0 < self.chunk_seconds <= 3600:
            raise OptionError(f"chunk seconds must be more than 0 and at most 3600, got {self.chunk_seconds:g}")
        if self.context_seconds is not None and not 0 <= self.context_seconds <= 3600:
            raise OptionError(f"context seconds must be at least 0 and at most 3600, got {self.context_seconds:g}")


@dataclass(frozen=True)
class Plan:
    """How a recording is cut, in samples.

    step: what every cut is a multiple of, so that each output's frames are those of the whole recording. chunk: the
    most that the model sees at once. context: on each side. shortest: what it can answer. quiet: cut where it is quiet,
    by ``vad`` where there is one.
    """

    sampling_rate: int
    step: int
    chunk: int
    context: int
    shortest: int
    quiet: bool
    vad: VoiceActivity | None = None

    @property
    def latency_seconds(self) -> float:
        """After a sample was given, the longest until what it says is out, beside the time to compute it."""
        return (self.chunk + self.reserve) / self.sampling_rate

    @property
    def reserve(self) -> int:
        """Samples beyond a chunk that are waited for, so that what is left after it can be answered."""
        return max(0, self.shortest - self.context)


def plan_for(manifest: Manifest, options: ChunkOptions, longest: int | None) -> Plan:
    """The plan for a model. longest: samples that fit the memory or the engine here; None where nobody knows.

    Raises `OptionError` where a chunk has no room between its contexts, and where voice activity fits no model.
    """
    rate, framewise = manifest.features.sampling_rate, manifest.head in FRAMEWISE
    axes = [frames for frames in manifest.frames.values() if framewise]
    step = math.lcm(*(frames.step for frames in axes)) if axes else max(1, rate // FRAMES_A_SECOND)
    # A frame reaches past its step: what it reaches for is context.
    reach = max((frames.field - frames.step for frames in axes), default=0)
    if options.vad is not None and manifest.head != "ctc":
        raise OptionError(f"voice activity is for head 'ctc'; head {manifest.head!r} is cut evenly")
    seconds = options.chunk_seconds
    wanted = CHUNK_SECONDS * rate if seconds is None else seconds * rate
    if longest is not None and seconds is None:
        wanted = min(wanted, longest)
    chunk = max(int(wanted) // step, 1) * step
    if not framewise:
        if options.context_seconds:
            raise OptionError(f"head {manifest.head!r} answers for a whole window, which has no context")
        return Plan(rate, step, max(chunk, -(-manifest.shortest // step) * step), 0, manifest.shortest, False)
    least = -(-max(reach, 0) // step) * step
    if seconds is None:
        chunk = max(chunk, 2 * least + step, -(-manifest.shortest // step) * step)
    if options.context_seconds is None:
        context = max(int(chunk * CONTEXT_SHARE / step) * step, least)
    else:
        context = max(round(options.context_seconds * rate / step) * step, least)
    if chunk < 2 * context + step or chunk < manifest.shortest:
        shown = max(2 * context + step, manifest.shortest) / rate
        raise OptionError(
            f"chunks of {chunk / rate:g} s have no room between contexts of {context / rate:g} s; "
            f"take at least {shown:g} s, or less context"
        )
    vad = None if options.vad is None else _voice_activity(manifest, options.vad)
    return Plan(rate, step, chunk, context, manifest.shortest, manifest.head == "ctc", vad)


def _voice_activity(manifest: Manifest, vad: str | os.PathLike[str] | VoiceActivity) -> VoiceActivity:
    rate = manifest.features.sampling_rate
    if rate != VOICE_RATE:
        raise OptionError(f"voice activity is heard at {VOICE_RATE} Hz, and this model is for {rate} Hz; leave it out")
    return vad if isinstance(vad, VoiceActivity) else VoiceActivity(vad)
