"""Head ``sequence-classification``: scores of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Manifest

from .base import MULTI_LABEL, REGRESSION, THRESHOLD, Answer, Outputs, Result, Table, labels_of, probabilities


@dataclass(frozen=True)
class Score:
    """A class and its score: a probability, or the predicted value of a regression."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """Scores of a recording (head ``sequence-classification``).

    scores: the likeliest first; those of a regression are in the order of the model. problem_type: as in Hugging Face.
    duration: seconds of audio.
    """

    scores: tuple[Score, ...]
    problem_type: str
    duration: float

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.scores[0].label

    @property
    def score(self) -> float:
        """The score of `label`."""
        return self.scores[0].score

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that hold: the likeliest; of a multi-label model all whose probability is at least one half."""
        if self.problem_type == MULTI_LABEL:
            return tuple(each.label for each in self.scores if each.score >= THRESHOLD)
        return (self.label,)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; scores to six digits."""
        scores = [{"label": each.label, "score": round(each.score, 6)} for each in self.scores]
        held = {} if self.problem_type == REGRESSION else {"labels": list(self.labels)}
        return {**held, "scores": scores, "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The classes that hold and their scores; the values of a regression."""
        held = self.scores if self.problem_type == REGRESSION else [s for s in self.scores if s.label in self.labels]
        return ", ".join(f"{each.label} {each.score:.3f}" for each in held)

    def table(self) -> Table:
        """One row for each class."""
        return ("label", "score"), [(each.label, round(each.score, 6)) for each in self.scores]


def classifications(manifest: Manifest) -> Answer:
    """Logits [labels] to a `Classification`."""
    labels = labels_of(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        values = probabilities(outputs["logits"], labels.problem_type)
        scores = [Score(name, float(value)) for name, value in zip(labels.names, values)]
        if labels.problem_type != REGRESSION:
            scores.sort(key=lambda each: -each.score)
        return Classification(tuple(scores), labels.problem_type, duration)

    return answer
