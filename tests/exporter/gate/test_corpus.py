"""Directories of recordings and their transcripts, and the error rates that are made of them."""

from __future__ import annotations

import itertools
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.oracle import tiny
from support.paths import DATA
from support.recordings import RATE, record, refused
from w2vc_exporter.gate.corpus import read_corpus
from w2vc_runtime.verify.error_rate import ErrorRates, edits, error_rates, normalised

SHORTEST = 400


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Three recordings, without transcripts."""
    for name in ("b.wav", "a.flac", "more/c.ogg"):
        record(tmp_path / "calls" / name)
    return tmp_path / "calls"


def read(directory: Path, **how):
    return read_corpus(directory, RATE, SHORTEST, **how)


def test_recordings_are_found_below_and_sorted(corpus):
    record(corpus / "d.wav", rate=8000)
    record(corpus / ".hidden.wav")
    (corpus / "notes.pdf").write_text("no recording")
    found = read(corpus)
    assert found.name == "calls"
    assert not found.transcribed
    assert [clip.name for clip in found.clips] == ["a.flac", "b.wav", "d.wav", "more/c.ogg"]
    assert [len(clip.samples) for clip in found.clips] == [8000] * 4
    assert all(clip.samples.dtype == np.float32 and clip.text is None for clip in found.clips)


def test_transcripts_beside_the_recordings(corpus):
    for name in ("a", "b", "more/c"):
        (corpus / f"{name}.txt").write_text(f"\ufeff This is {name}.\n", encoding="utf-8")
    found = read(corpus)
    assert found.transcribed
    assert [clip.text.strip() for clip in found.clips] == ["This is a.", "This is b.", "This is more/c."]
    assert not read(corpus, transcripts=False).transcribed


def test_transcripts_of_an_audio_folder(corpus):
    lines = 'file_name,speaker,transcription\nb.wav,1,"One, two"\nmore/c.ogg,2,three\n./a.flac,1,four\n'
    (corpus / "metadata.csv").write_text(lines)
    assert {clip.name: clip.text for clip in read(corpus).clips} == {
        "a.flac": "four", "b.wav": "One, two", "more/c.ogg": "three"
    }  # fmt: skip


def test_a_real_corpus_is_read():
    if not (DATA / "librivox").is_dir():
        pytest.skip(f"no recordings in {DATA / 'librivox'}")
    found = read(DATA / "librivox")
    assert found.transcribed
    assert all(5 < len(clip.samples) / RATE / len(clip.text.split()) * 20 < 20 for clip in found.clips)


def nothing(folder: Path) -> None:
    shutil.rmtree(folder)


def no_recordings(folder: Path) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.rename(path.with_suffix(".dat"))


def text(name: str, content: str | bytes):
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def texts(changed: dict[str, str | None]):
    """A transcript for each recording, but for what is changed; None leaves it away."""

    def write(folder: Path) -> None:
        for name, content in ({"a": "one", "b": "two", "more/c": "three"} | changed).items():
            if content is not None:
                (folder / f"{name}.txt").write_text(content)

    return write


def holding(name: str, samples: np.ndarray):
    return lambda folder: soundfile.write(folder / name, samples, RATE, subtype="FLOAT")


def broken_off(folder: Path) -> None:
    soundfile.write(folder / "b.mp3", 0.1 * np.sin(np.arange(2 * RATE) / 9), RATE)
    content = (folder / "b.mp3").read_bytes()
    (folder / "b.mp3").rename(folder / "b.wav")
    (folder / "b.wav").write_bytes(content[: len(content) // 2])


HEADER = "file_name,transcription\n"
BAD = {
    "missing": (nothing, "calls is not a directory; expected one of recordings (.wav, .flac"),
    "without recordings": (no_recordings, "calls holds no recordings; expected files that end in .wav, .flac"),
    "unreadable": (text("b.wav", b"no sound"), "b.wav is not audio that can be read"),
    "no bytes": (text("b.wav", b""), "b.wav is empty: it holds no bytes"),
    "broken off": (broken_off, "b.wav is damaged: 0.759 s of 2 s could be read; expected whole recordings"),
    "no samples": (holding("b.wav", np.zeros(0)), "b.wav is empty: it holds no samples"),
    "NaN": (holding("b.wav", np.full(800, np.nan)), "b.wav holds NaN or infinite samples"),
    "too short": (holding("b.wav", np.zeros(99)), "b.wav is too short: 99 samples; at least 25 ms are needed"),
    "transcript alone": (texts({"d": "four"}), "d.txt is a transcript without its recording; expected d.wav beside it"),
    "some without": (texts({"b": None}), "b.wav has no transcript, and others in"),
    "several without": (texts({"a": None, "b": None}), "a.flac (and 1 more) has no transcript"),
    "empty": (texts({"b": " ... \n"}), "b.txt has an empty transcript for b.wav; expected what is said in it"),
    "no text": (text("b.txt", b"\xff\xfe\x00"), "b.txt is not text in UTF-8"),
    "columns": (text("metadata.csv", "path,text\nb.wav,two\n"), "expected file_name and transcription"),
    "gone": (text("metadata.csv", HEADER + "d.wav,four\n"), "metadata.csv names 'd.wav', which is no recording in"),
    "empty row": (text("metadata.csv", HEADER + "b.wav,\n"), "has an empty transcript for b.wav"),
    "twice": (text("metadata.csv", HEADER + "b.wav,two\nb.wav,two\n"), "b.wav has two transcripts, one of them in"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_recordings_are_one_line_and_nothing_is_written(fault, corpus, tmp_path, capsys):
    damage, line = BAD[fault]
    damage(corpus)
    left = {"calls"} if corpus.exists() else set()
    options = [tiny()[1], "--head", "ctc", "-o", tmp_path / "out"]
    assert line in refused(capsys, *options, "--audio", corpus)
    assert {path.name for path in tmp_path.iterdir()} == left


def test_error_rates():
    assert error_rates([("a cat sat", "a cat sat"), ("Yes.", "yes")]) == ErrorRates(0.0, 0.0)
    # one substitution, one deletion, one insertion in four words; d for t, " on", " no" in 14 characters
    rates = error_rates([("a cat sat on", "a cad sat"), ("no", "no no")])
    assert rates == ErrorRates(3 / 5, (1 + 3 + 3) / 14)
    assert error_rates([("four", "")]) == ErrorRates(1.0, 1.0)
    with pytest.raises(ValueError, match="no words"):
        error_rates([("", "four")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Well-known,\tisn't it?  ", "well known isn't it"),
        ("it’s", "it's"),
        ("Straße", "strasse"),
        ("Cafe\u0301", "caf\u00e9"),
        ("«oui» — no…", "oui no"),
        ("ʰa ˈb", "ʰa ˈb"),
    ],
)
def test_normalisation(text, expected):
    assert normalised(text) == expected
    assert normalised(expected) == expected


@cache
def slow(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Levenshtein's distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))


def test_edits_against_brute_force():
    sequences = [each for length in range(5) for each in itertools.product("abc", repeat=length)]
    generator = np.random.default_rng(0)
    for _ in range(2000):
        a, b = (sequences[index] for index in generator.integers(len(sequences), size=2))
        assert edits(a, b) == slow(a, b), (a, b)
    longer = [tuple(generator.choice(list("abcd"), size=n).tolist()) for n in (9, 12, 7, 11)]
    for a, b in itertools.permutations(longer, 2):
        assert edits(a, b) == slow(a, b)
    assert (edits([], []), edits([], ["a"]), edits("ab", "")) == (0, 1, 2)
