"""Outputs of a graph to results: one function for each head."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .ctc import GreedyDecoder
from .manifest import Labels, Manifest
from .results import (
    MULTI_LABEL,
    REGRESSION,
    Classification,
    Embedding,
    FrameLabels,
    HiddenStates,
    Pretraining,
    Result,
    Score,
    Transcript,
)  # fmt: skip

Outputs = dict[str, NDArray]
Answer = Callable[[Outputs, float], Result]
"""From the outputs of one clip, cut to its valid frames, and its duration in seconds, to its result."""


def transcripts(manifest: Manifest) -> Answer:
    """Logits [frames, vocabulary] to a `Transcript`."""
    assert manifest.ctc is not None
    decoder, seconds = GreedyDecoder(manifest.ctc), _frame_seconds(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        characters = decoder.characters(outputs["logits"])
        return Transcript(decoder.text(characters), decoder.words(characters, seconds), duration)

    return answer


def classifications(manifest: Manifest) -> Answer:
    """Logits [labels] to a `Classification`."""
    labels = _labels(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        values = _scores(outputs["logits"], labels.problem_type)
        scores = [Score(name, float(value)) for name, value in zip(labels.names, values)]
        if labels.problem_type != REGRESSION:
            scores.sort(key=lambda each: -each.score)
        return Classification(tuple(scores), labels.problem_type, duration)

    return answer


def frame_labels(manifest: Manifest) -> Answer:
    """Logits [frames, labels] to `FrameLabels`."""
    labels, seconds = _labels(manifest), _frame_seconds(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        scores = _scores(outputs["logits"], labels.problem_type)
        return FrameLabels(labels.names, scores, labels.problem_type, seconds, duration)

    return answer


def embeddings(manifest: Manifest) -> Answer:
    """Embeddings [dimensions] to an `Embedding`."""
    return lambda outputs, duration: Embedding(outputs["embeddings"], outputs["logits"], duration)


def hidden_states(manifest: Manifest) -> Answer:
    """Hidden states [frames, channels] to `HiddenStates`."""
    seconds, prefix = _frame_seconds(manifest), "hidden_states_"

    def answer(outputs: Outputs, duration: float) -> Result:
        layers = {int(name[len(prefix) :]): state for name, state in outputs.items() if name.startswith(prefix)}
        return HiddenStates(outputs["last_hidden_state"], layers, seconds, duration)

    return answer


def pretrainings(manifest: Manifest) -> Answer:
    """Projected states [frames, dimensions] and the perplexity to `Pretraining`."""

    def answer(outputs: Outputs, duration: float) -> Result:
        states = outputs["projected_states"], outputs["projected_quantized_states"]
        return Pretraining(*states, float(outputs["codevector_perplexity"]), duration)

    return answer


ANSWERS: dict[str, Callable[[Manifest], Answer]] = {
    "base": hidden_states,
    "ctc": transcripts,
    "sequence-classification": classifications,
    "frame-classification": frame_labels,
    "xvector": embeddings,
    "pretraining": pretrainings,
}


def _frame_seconds(manifest: Manifest) -> float:
    """Seconds from one frame of the first output to the next."""
    return manifest.frames[str(manifest.outputs[0].shape[1])].step / manifest.features.sampling_rate


def _labels(manifest: Manifest) -> Labels:
    assert manifest.labels is not None
    return manifest.labels


def _scores(logits: NDArray, problem_type: str) -> NDArray[np.float32]:
    """Probabilities [..., labels], or the values themselves of a regression."""
    if problem_type == REGRESSION:
        return logits
    if problem_type == MULTI_LABEL:
        # The logistic function, without overflow; in float32 its last digit would be the processor's.
        return (0.5 * (1.0 + np.tanh(np.multiply(0.5, logits, dtype=np.float64)))).astype(np.float32)
    exponentials = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)
