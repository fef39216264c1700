"""Results as text: plain, JSON and CSV for every head, and the two subtitle formats for transcripts."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterator, Sequence

from w2vc_runtime.errors import OptionError

from . import Result, Transcript, Word

# A cue is what a viewer can read at a glance; the figures are those of common subtitling guidelines.
CUE_CHARACTERS = 84
CUE_SECONDS = 7.0
CUE_GAP_SECONDS = 1.0


def text(result: Result) -> str:
    """What a person wants to read."""
    return result.to_text() + "\n"


def json_object(result: Result) -> str:
    """One JSON object on one line."""
    return json.dumps(result.to_dict(), ensure_ascii=False) + "\n"


def csv_table(result: Result, file: str | None = None, header: bool = True) -> str:
    """A header and rows (RFC 4180, with newlines as the lines end here). file: first column, if given."""
    names, rows = result.table()
    shown = io.StringIO()
    writer = csv.writer(shown, lineterminator="\n")
    own = [] if file is None else [file]
    if header:
        writer.writerow([*(["file"] if own else []), *names])
    writer.writerows([*own, *row] for row in rows)
    return shown.getvalue()


def srt(result: Result) -> str:
    """SubRip subtitles."""
    numbered = enumerate(cues(_words(result)), start=1)
    return "\n".join(f"{number}\n{_span(cue, ',')}\n{_join(cue)}\n" for number, cue in numbered)


def vtt(result: Result) -> str:
    """WebVTT subtitles (W3C)."""
    shown = (f"{_span(cue, '.')}\n{html.escape(_join(cue), quote=False)}\n" for cue in cues(_words(result)))
    return "\n".join(["WEBVTT\n", *shown])


FORMATS: dict[str, Callable[[Result], str]] = {
    "text": text,
    "json": json_object,
    "csv": csv_table,
    "srt": srt,
    "vtt": vtt,
}
SUFFIXES = {"text": ".txt", "json": ".json", "csv": ".csv", "srt": ".srt", "vtt": ".vtt"}
SUBTITLES = ("srt", "vtt")


def _words(result: Result) -> Sequence[Word]:
    if not isinstance(result, Transcript):
        raise OptionError("subtitles are made of transcripts; this bundle has another head")
    return result.words


def cues(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Words that are shown together, as a subtitle is."""
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
