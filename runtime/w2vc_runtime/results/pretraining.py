"""Head ``pretraining``: what wav2vec 2.0 predicts and what it should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Manifest

from .base import Answer, Array, Outputs, Result, Table, cosine, plain


@dataclass(frozen=True)
class Pretraining:
    """What wav2vec 2.0 predicts and what it should (head ``pretraining``).

    projected_states, projected_quantized_states: float32 [frames, dimensions]. codevector_perplexity: how evenly the
    codebook is used, over the masked frames, or over all where none is masked. duration: seconds of audio.
    """

    projected_states: Array
    projected_quantized_states: Array
    codevector_perplexity: float
    duration: float

    @property
    def similarity(self) -> Array | None:
        """Cosine of prediction and target at each frame; None where an adapter gives the prediction other frames."""
        if self.projected_states.shape != self.projected_quantized_states.shape:
            return None
        return cosine(self.projected_states, self.projected_quantized_states)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "codevector_perplexity": float(self.codevector_perplexity),
            "projected_states": plain(self.projected_states),
            "projected_quantized_states": plain(self.projected_quantized_states),
            "duration": round(self.duration, 3),
        }

    def to_text(self) -> str:
        """Perplexity and mean similarity."""
        (names, (values,)) = self.table()
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values))

    def table(self) -> Table:
        """One row: perplexity and mean similarity."""
        similarity = self.similarity
        if similarity is None:
            return ("codevector_perplexity",), [(float(self.codevector_perplexity),)]
        mean = float(similarity.mean())
        return ("codevector_perplexity", "mean_similarity"), [(float(self.codevector_perplexity), mean)]


def pretrainings(manifest: Manifest) -> Answer:
    """Projected states [frames, dimensions] and the perplexity to `Pretraining`."""

    def answer(outputs: Outputs, duration: float) -> Result:
        states = outputs["projected_states"], outputs["projected_quantized_states"]
        return Pretraining(*states, float(outputs["codevector_perplexity"]), duration)

    return answer
