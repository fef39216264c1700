"""What a graph takes of memory while it runs, estimated before it does."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Bundle
from w2vc_runtime.documents.reader import DocumentError, read_document
from w2vc_runtime.system.memory import available_bytes, duration_shown, shortage

# Values of float32 that a provider holds at once for each pair of encoder frames, by its position kind: times the heads
# of attention, and beside them. Measured, see benchmarks/lengths.py. OpenVINO fuses attention where nothing is added to
# its scores but a mask.
PAIRS: dict[str, dict[str, tuple[float, float]]] = {
    "cpu": {
        "convolutional": (2.2, 1),
        "none": (2.2, 1),
        "rotary": (2.2, 1),
        "relative": (6.4, 1),
        "relative_key": (3.2, 4),
    },
    "openvino": {
        "convolutional": (0, 1),
        "none": (0, 1),
        "rotary": (0, 1),
        "relative": (9, 1),
        "relative_key": (2.8, 3),
    },
}
# Arrays as large as the first convolution's output, and as a feed-forward's, that are held at once.
CONVOLVED = 3.5
WIDENED = 6
# What a first run takes whatever its length.
FIXED_BYTES = 32 << 20
FLOAT_BYTES = 4
# Of what is free, so that the clip that is said to fit still does when it is tried.
SURE = 0.95


@dataclass(frozen=True)
class Footprint:
    """An estimate of the memory that a batch takes while the graph runs, beyond what the loaded graph has.

    frame: samples from one frame of the encoder to the next. pair, sample: bytes for each pair of frames, and for each
    sample, of a clip.
    """

    frame: float
    pair: float
    sample: float

    def needed(self, batch: int, samples: int) -> float:
        """Bytes for a batch padded to that many samples."""
        return FIXED_BYTES + batch * (self.sample * samples + self.pair * (samples / self.frame) ** 2)

    def longest(self, available: float) -> int:
        """Samples of the longest clip that takes no more than that many bytes."""
        room = max(0.0, available - FIXED_BYTES)
        square = self.pair / self.frame**2
        # The positive root of square x² + sample x = room, in the form that does not cancel.
        return int(2 * room / (self.sample + math.sqrt(self.sample**2 + 4 * square * room)))

    def shortage(self, batch: int, samples: int, sampling_rate: int) -> str | None:
        """That a batch takes more memory than there is, for people, and what would not; None where it does not."""
        seconds = duration_shown(samples / sampling_rate)
        problem = shortage(seconds if batch == 1 else f"{batch} clips of {seconds}", self.needed(batch, samples))
        if problem is None:
            return None
        longest = self.longest((available_bytes() or 0) * SURE) / sampling_rate
        return f"{problem}, enough for a clip of {duration_shown(longest)}"

    @classmethod
    def of(cls, bundle: Bundle, provider: str) -> Footprint | None:
        """The estimate for a bundle on a provider; None where nothing is known: of GPUs, or without ``config.json``."""
        manifest = bundle.manifest
        pairs = PAIRS.get(provider, {}).get(manifest.position)
        config = _config(bundle)
        try:
            heads, wide = int(config["num_attention_heads"]), int(config["intermediate_size"])
            if manifest.features.convolutions:
                convolved, strides = 0.0, [stride for _, stride in manifest.features.convolutions]
            else:
                strides = [int(stride) for stride in config["conv_stride"]]
                convolved = int(config["conv_dim"][0]) / strides[0]
        except (KeyError, TypeError, ValueError, IndexError, ArithmeticError):
            return None
        frame = math.prod(strides)
        if pairs is None or min(heads, wide, frame) < 1:
            return None
        each, beside = pairs
        return cls(
            frame=frame,
            pair=FLOAT_BYTES * (each * heads + beside),
            sample=FLOAT_BYTES * (CONVOLVED * convolved + WIDENED * wide / frame),
        )


def _config(bundle: Bundle) -> dict[str, Any]:
    if "config.json" in bundle.manifest.files:
        with contextlib.suppress(DocumentError):
            values = read_document(bundle.path / "config.json")
            if isinstance(values, dict):
                return values
    return {}
