"""Head ``xvector``: a voice as a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Manifest

from .base import Answer, Array, Table, cosine, plain


@dataclass(frozen=True)
class Embedding:
    """The voice of a recording as a vector (head ``xvector``).

    vector: float32 [dimensions]. logits: float32 [dimensions], the scores before the margin softmax of the training.
    duration: seconds of audio.
    """

    vector: Array
    logits: Array
    duration: float

    def similarity(self, other: Embedding) -> float:
        """Cosine similarity, -1..1: the higher, the likelier is the same voice. The threshold is the model's."""
        return float(cosine(self.vector, other.vector))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"embedding": plain(self.vector), "logits": plain(self.logits), "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The vector, its values separated by spaces."""
        return " ".join(f"{value:.6g}" for value in self.vector)

    def table(self) -> Table:
        """One row: the vector."""
        return [f"e{index}" for index in range(len(self.vector))], [plain(self.vector)]


def embeddings(manifest: Manifest) -> Answer:
    """Embeddings [dimensions] to an `Embedding`."""
    return lambda outputs, duration: Embedding(outputs["embeddings"], outputs["logits"], duration)
