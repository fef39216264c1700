"""Answers in the shapes that OpenAI's clients read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from w2vc_runtime.results import Result, Transcript, Word
from w2vc_runtime.results.formats import cues

# What Whisper's segments have, and this does not know of: the values that say nothing.
UNKNOWN = {"seek": 0, "tokens": [], "temperature": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0}


def simple(result: Result) -> dict[str, Any]:
    """``json``: the text alone; for other heads than ctc the whole answer too."""
    if isinstance(result, Transcript):
        return {"text": result.text}
    return {"text": result.to_text(), **result.to_dict()}


def verbose(result: Result, language: str, words: bool) -> dict[str, Any]:
    """``verbose_json``: segments as subtitles have them, and words where they are asked for."""
    head = {"task": "transcribe", "language": language, "duration": round(result.duration, 3)}
    if not isinstance(result, Transcript):
        return {**head, **simple(result)}
    segments = [_segment(number, cue) for number, cue in enumerate(cues(result.words))]
    shown = {**head, "text": result.text, "segments": segments}
    return {**shown, "words": [word_of(word) for word in result.words]} if words else shown


def word_of(word: Word) -> dict[str, Any]:
    """A word, with how sure the model is of it."""
    return {
        "word": word.text, "start": round(word.start, 3), "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }  # fmt: skip


def _segment(number: int, cue: Sequence[Word]) -> dict[str, Any]:
    confidence = sum(math.log(max(word.confidence, 1e-10)) for word in cue) / len(cue)
    return {
        "id": number,
        "start": round(cue[0].start, 3),
        "end": round(cue[-1].end, 3),
        "text": " ".join(word.text for word in cue),
        "avg_logprob": round(confidence, 4),
        **UNKNOWN,
    }
