"""A directory of recordings, with or without what is said in them.

Recordings are the files in it and below it that end in one of `SUFFIXES`. Their transcripts come as ``NAME.txt`` beside
``NAME.wav``, or as ``metadata.csv`` with columns ``file_name`` (relative to it) and ``transcription``, as in Hugging
Face's AudioFolder. All clips have one, or none has. Files whose names start with a dot are passed over.
"""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from w2vc_exporter.errors import ExportError
from w2vc_runtime.audio.reader import Samples, read_audio
from w2vc_runtime.verify.error_rate import normalised

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
METADATA = "metadata.csv"
COLUMNS = ("file_name", "transcription")


@dataclass(frozen=True)
class Clip:
    """A recording. name: its path in the corpus. samples: float32 [time], mono. text: what is said, where known."""

    name: str
    samples: Samples
    text: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Recordings of one directory, sorted by name. name: of the directory."""

    name: str
    clips: tuple[Clip, ...]

    @property
    def transcribed(self) -> bool:
        """Whether it is known what is said in them."""
        return self.clips[0].text is not None


def read_corpus(directory: str | Path, sampling_rate: int, shortest: int, transcripts: bool = True) -> Corpus:
    """Read every recording of a directory, at a rate in Hz.

    shortest: the fewest samples that a model answers for. transcripts: whether to read them, too.
    Raises `ExportError` (no recordings there, or transcripts that do not belong to them) or `AudioError` (one of them
    is unreadable, empty, not finite or too short).
    """
    root = Path(directory)
    if not root.is_dir():
        raise ExportError(f"{root} is not a directory; expected one of recordings ({', '.join(SUFFIXES)})")
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    recordings = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not recordings:
        raise ExportError(f"{root} holds no recordings; expected files that end in {', '.join(SUFFIXES)}")
    texts = _transcripts(files, recordings) if transcripts else {}
    if texts and (without := [path for path in recordings if path not in texts]):
        more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
        raise ExportError(f"{without[0]}{more} has no transcript, and others in {root} have; give all of them or none")
    clips = tuple(
        Clip(path.relative_to(root).as_posix(), _whole(path, sampling_rate, shortest), texts.get(path))
        for path in recordings
    )
    return Corpus(root.resolve().name, clips)


def _whole(path: Path, sampling_rate: int, shortest: int) -> Samples:
    """A recording that does not break off: its transcript would not be of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return read_audio(path, sampling_rate, shortest)
        except UserWarning as warning:
            raise ExportError(f"{warning}; expected whole recordings") from warning


def _transcripts(files: list[Path], recordings: list[Path]) -> dict[Path, str]:
    """The text of each recording that has one."""
    stems: dict[Path, list[Path]] = {}
    for path in recordings:
        stems.setdefault(path.with_suffix(""), []).append(path)
    texts: dict[Path, str] = {}
    for path in files:
        if path.suffix.lower() == ".txt":
            named = stems.get(path.with_suffix(""), [])
            if not named:
                raise ExportError(f"{path} is a transcript without its recording; expected {path.stem}.wav beside it")
            found = [(each, _text(path)) for each in named]
        elif path.name == METADATA:
            found = _metadata(path, set(recordings))
        else:
            continue
        for recording, text in found:
            if recording in texts:
                raise ExportError(f"{recording} has two transcripts, one of them in {path}; expected one")
            if not normalised(text):
                raise ExportError(f"{path} has an empty transcript for {recording.name}; expected what is said in it")
            texts[recording] = text
    return texts


def _metadata(path: Path, recordings: set[Path]) -> list[tuple[Path, str]]:
    rows = csv.DictReader(io.StringIO(_text(path), newline=""))
    if not {*COLUMNS} <= {*(rows.fieldnames or ())}:
        raise ExportError(f"{path} has columns {rows.fieldnames}; expected {' and '.join(COLUMNS)}")
    found = []
    for row in rows:
        recording = path.parent / (row["file_name"] or "")
        if recording not in recordings:
            raise ExportError(f"{path} names {row['file_name']!r}, which is no recording in {path.parent}")
        found.append((recording, row["transcription"] or ""))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is not text in UTF-8; expected what is said in a recording") from error
