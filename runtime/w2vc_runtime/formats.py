"""Transcripts as text: plain, JSON, and the two subtitle formats."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Sequence

from .results import Transcript, Word

# A cue is what a viewer can read at a glance; the figures are those of common subtitling guidelines.
CUE_CHARACTERS = 84
CUE_SECONDS = 7.0
CUE_GAP_SECONDS = 1.0


def text(transcript: Transcript) -> str:
    """The recognised text."""
    return transcript.text + "\n"


def json_object(transcript: Transcript) -> str:
    """One JSON object on one line."""
    return json.dumps(transcript.to_dict(), ensure_ascii=False) + "\n"


def srt(transcript: Transcript) -> str:
    """SubRip subtitles."""
    cues = enumerate(_cues(transcript.words), start=1)
    return "\n".join(f"{number}\n{_span(cue, ',')}\n{_join(cue)}\n" for number, cue in cues)


def vtt(transcript: Transcript) -> str:
    """WebVTT subtitles (W3C)."""
    cues = (f"{_span(cue, '.')}\n{html.escape(_join(cue), quote=False)}\n" for cue in _cues(transcript.words))
    return "\n".join(["WEBVTT\n", *cues])


FORMATS: dict[str, Callable[[Transcript], str]] = {"text": text, "json": json_object, "srt": srt, "vtt": vtt}
SUFFIXES = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}


def _cues(words: Sequence[Word]) -> Iterator[list[Word]]:
    cue: list[Word] = []
    for word in words:
        if cue and (
            word.start - cue[-1].end > CUE_GAP_SECONDS
            or word.end - cue[0].start > CUE_SECONDS
            or len(_join([*cue, word])) > CUE_CHARACTERS
        ):
            yield cue
            cue = []
        cue.append(word)
    if cue:
        yield cue


def _join(cue: Sequence[Word]) -> str:
    return " ".join(word.text for word in cue)


def _span(cue: Sequence[Word], mark: str) -> str:
    return f"{_clock(cue[0].start, mark)} --> {_clock(cue[-1].end, mark)}"


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"
