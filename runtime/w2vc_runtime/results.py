"""What a model answers: one type for each head.

Every result has ``to_dict()`` (plain data for JSON), ``to_text()`` (for people) and ``table()`` (a header and rows, for
CSV). Times are in seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]

MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
# A class of several that may hold at once holds from here on, as in Hugging Face's examples.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Word:
    """One recognised word, or phoneme where a phoneme model knows no words.

    start, end: seconds. confidence: 0..1, see `Transcript`.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """Text of a recording with its words in time (head ``ctc``).

    duration: seconds of audio. A word's confidence is the geometric mean, over its letters, of the highest probability
    that the model gave the letter in the frames where it emitted it.
    """

    text: str
    words: tuple[Word, ...]
    duration: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times to a millisecond, confidences to four digits."""
        words = [
            {"text": w.text, "start": round(w.start, 3), "end": round(w.end, 3), "confidence": round(w.confidence, 4)}
            for w in self.words
        ]
        return {**dataclasses.asdict(self), "words": words, "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The recognised text."""
        return self.text

    def table(self) -> Table:
        """One row for each word."""
        words = self.to_dict()["words"]
        return ("start", "end", "text", "confidence"), [
            (w["start"], w["end"], w["text"], w["confidence"]) for w in words
        ]


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


@dataclass(frozen=True)
class Segment:
    """A stretch of time in which a class holds. start, end: seconds. score: its mean probability there."""

    label: str
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class FrameLabels:
    """Probabilities of the classes over time (head ``frame-classification``).

    labels: names of the classes. scores: float32 [frames, labels]. frame_seconds: from one frame to the next.
    duration: seconds of audio.
    """

    labels: tuple[str, ...]
    scores: Array
    problem_type: str
    frame_seconds: float
    duration: float

    @property
    def times(self) -> NDArray[np.floating]:
        """Where each frame starts, in seconds."""
        return np.arange(len(self.scores)) * self.frame_seconds

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Where each class holds, by start: the likeliest in a frame; of a multi-label model all from one half up."""
        if self.problem_type == MULTI_LABEL:
            holds = self.scores >= THRESHOLD
        else:
            holds = self.scores.argmax(-1)[:, None] == np.arange(len(self.labels))
        found = [segment for index in range(len(self.labels)) for segment in self._segments(index, holds[:, index])]
        return tuple(sorted(found, key=lambda segment: (segment.start, segment.label)))

    def _segments(self, index: int, holds: NDArray[np.bool_]) -> Iterator[Segment]:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], holds.astype(np.int8), [0]))))
        for start, end in zip(edges[::2], edges[1::2]):
            mean = float(self.scores[start:end, index].mean())
            yield Segment(self.labels[index], start * self.frame_seconds, end * self.frame_seconds, mean)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; scores to six digits."""
        header, rows = self.table()
        return {
            "labels": list(self.labels),
            "segments": [dict(zip(header, row)) for row in rows],
            "scores": np.round(self.scores.astype(np.float64), 6).tolist(),
            "frame_seconds": self.frame_seconds,
            "duration": round(self.duration, 3),
        }

    def to_text(self) -> str:
        """One line for each segment."""
        return "\n".join(f"{s.start:.2f}-{s.end:.2f} {s.label} {s.score:.3f}" for s in self.segments)

    def table(self) -> Table:
        """One row for each segment."""
        rows = [(s.label, round(s.start, 3), round(s.end, 3), round(s.score, 6)) for s in self.segments]
        return ("label", "start", "end", "score"), rows


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
        return float(_cosine(self.vector, other.vector))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"embedding": _plain(self.vector), "logits": _plain(self.logits), "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The vector, its values separated by spaces."""
        return " ".join(f"{value:.6g}" for value in self.vector)

    def table(self) -> Table:
        """One row: the vector."""
        return [f"e{index}" for index in range(len(self.vector))], [_plain(self.vector)]


@dataclass(frozen=True)
class HiddenStates:
    """What the encoder made of a recording (head ``base``).

    last: the last hidden state, float32 [frames, channels]. layers: further hidden states by layer, [frames, channels]
    each; 0 is what went into the first. frame_seconds: from one frame of ``last`` to the next. duration: of the audio.
    """

    last: Array
    layers: dict[int, Array]
    frame_seconds: float
    duration: float

    @property
    def times(self) -> NDArray[np.floating]:
        """Where each frame of ``last`` starts, in seconds."""
        return np.arange(len(self.last)) * self.frame_seconds

    @property
    def _named(self) -> dict[str, Array]:
        return {"last_hidden_state": self.last, **{f"hidden_states_{i}": state for i, state in self.layers.items()}}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        states = {name: _plain(state) for name, state in self._named.items()}
        return {**states, "frame_seconds": self.frame_seconds, "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The shape of each state."""
        return ", ".join(f"{name} {len(state)} x {state.shape[1]}" for name, state in self._named.items())

    def table(self) -> Table:
        """One row for each frame of each state."""
        rows = [
            (name, index, *_plain(frame)) for name, state in self._named.items() for index, frame in enumerate(state)
        ]
        widest = max(state.shape[1] for state in self._named.values())
        return ("state", "frame", *(f"v{index}" for index in range(widest))), rows


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
        return _cosine(self.projected_states, self.projected_quantized_states)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "codevector_perplexity": float(self.codevector_perplexity),
            "projected_states": _plain(self.projected_states),
            "projected_quantized_states": _plain(self.projected_quantized_states),
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


Result = Transcript | Classification | FrameLabels | Embedding | HiddenStates | Pretraining


def _cosine(a: Array, b: Array) -> Any:
    """0 where one of the vectors is 0 and has no direction."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    product, norms = (a * b).sum(-1), np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def _plain(array: Array) -> Any:
    """Numbers for JSON and CSV: as many digits as float32 has."""
    return [_plain(row) for row in array] if array.ndim > 1 else [float(f"{value:.7g}") for value in array]
