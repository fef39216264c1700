"""What a model answers: one file for each head has its type, and how it is made from the outputs of a graph.

Every result has ``to_dict()`` (plain data for JSON), ``to_text()`` (for people) and ``table()`` (a header and rows, for
CSV). Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from w2vc_runtime.bundle import Manifest

from .alignment import Alignment, Alignments
from .base import MULTI_LABEL, REGRESSION, Answer, Outputs, Result, frame_seconds
from .classification import Classification, Score, classifications
from .embedding import Embedding, embeddings
from .frame_labels import FrameLabels, Segment, frame_labels
from .hidden_states import HiddenStates, hidden_states
from .pretraining import Pretraining, pretrainings
from .transcript import Alternative, Transcript, Word, alternatives, timed, transcripts
from .windows import Window, Windows

ANSWERS: dict[str, Callable[[Manifest], Answer]] = {
    "base": hidden_states,
    "ctc": transcripts,
    "sequence-classification": classifications,
    "frame-classification": frame_labels,
    "xvector": embeddings,
    "pretraining": pretrainings,
}

__all__ = [
    "ANSWERS",
    "MULTI_LABEL",
    "REGRESSION",
    "Alignment",
    "Alignments",
    "Alternative",
    "Answer",
    "Classification",
    "Embedding",
    "FrameLabels",
    "HiddenStates",
    "Outputs",
    "Pretraining",
    "Result",
    "Score",
    "Segment",
    "Transcript",
    "Window",
    "Windows",
    "Word",
    "alternatives",
    "frame_seconds",
    "timed",
    "transcripts",
]  # fmt: skip
