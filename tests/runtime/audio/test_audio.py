"""Audio from pipes, from arrays of every shape, and what is said of the rest."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from support.paths import DEMO_AUDIO
from w2vc_runtime import AudioError, load
from w2vc_runtime.audio import reader as audio
from w2vc_runtime.audio.quiet import silent_c_library
from w2vc_runtime.audio.reader import read_audio

SPEECH = DEMO_AUDIO / "seven-two-nine.flac"


def test_pipes_are_read(digits):
    """Standard input by both its names, and a pipe by the number of its descriptor."""
    command = [sys.executable, "-m", "w2vc_runtime.cli.main", "run", str(digits["fp32"])]
    shown = [
        subprocess.run([*command, name], input=SPEECH.read_bytes(), capture_output=True, check=True).stdout
        for name in ("-", "/dev/stdin")
    ]
    redirected = subprocess.run(["bash", "-c", '"$@" - < "$0"', SPEECH, *command], capture_output=True)
    substituted = subprocess.run(["bash", "-c", '"$@" <(cat "$0")', SPEECH, *command], capture_output=True)
    assert {*shown, redirected.stdout, substituted.stdout} == {b"seven two nine\n"}


def test_a_fifo_is_read_and_bounded(tmp_path, monkeypatch):
    expected = read_audio(SPEECH, 16000)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(SPEECH.read_bytes(),))
    writer.start()
    np.testing.assert_array_equal(read_audio(path, 16000), expected)
    writer.join()
    monkeypatch.setattr(audio, "MOST_BYTES", 1 << 20)
    with pytest.raises(AudioError, match=r"/dev/zero gives more than 1 MB, .* pass the path of a file"):
        read_audio("/dev/zero", 16000)


def test_a_terminal_is_not_waited_for(monkeypatch):
    primary, secondary = os.openpty()
    with open(primary, "rb"), open(secondary) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(AudioError, match="standard input is a terminal"):
            read_audio("-", 16000)


def test_what_has_one_meaning_is_taken(digits):
    model = load(digits["fp32"], "cpu")
    content = SPEECH.read_bytes()
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    assert rate == 16000
    stereo = np.stack([samples, samples])
    sources = {
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "no seeking": Unseekable(content),
        "rate of a float": (samples, 16000.0),
        "rate of numpy": (samples, np.array(16000)),
        "list": (samples.tolist(), 16000),
        "[1, time]": (samples[None], 16000),
        "[2, time]": (stereo, 16000),
        "[time, 2]": (stereo.T, 16000),
    }
    for name, source in sources.items():
        assert model(source).text == "seven two nine", name


class Unseekable(io.RawIOBase):
    """What an HTTP response is like."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros(16000), r"samples alone have no sample rate; pass \(samples, sample_rate\)"),
        ([0.0] * 16000, r"samples alone have no sample rate; pass \(samples, sample_rate\)"),
        ((np.zeros(16000), 16000.5), "sample rate of 16000.5 Hz; expected a whole number"),
        ((np.zeros(16000), "16000"), "sample rate must be a positive number of Hz, got '16000'"),
        ((np.zeros(16000), True), "sample rate must be a positive number"),
        ((np.zeros(16000), np.nan), "sample rate must be a positive number"),
        ((np.zeros(16000), 1), "sample rate of 1 Hz; expected 1000 to 1000000"),
        ((np.zeros(16000), 10**400), "sample rate"),
        ((np.zeros((100, 16000)), 16000), "16000 channels; expected 1 to 64"),
        ((np.zeros(16000), 16000, 1), r"expected \(samples, sample_rate\), got a tuple of 3"),
        (([[0.0], [0.0, 0.0]], 16000), r"samples must be an array"),
        ((np.float64(0.0), 16000), r"samples must be \[time\] or \[time, channels\], got 0 dimensions"),
        (io.StringIO("text"), "gives text; open it for reading bytes"),
        (None, "audio must be a path, bytes, a file object"),
        (7, "audio must be a path, bytes, a file object"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "^x{100}...x{100} cannot be read: File name too long$"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)  # fmt: skip
def test_what_has_none_is_said_what_it_is(source, message):
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(source, 16000)
    assert "\n" not in str(caught.value)


def test_a_file_that_fails_fails_alone(digits, monkeypatch):
    """Whatever its error is."""
    model = load(digits["fp32"], "cpu")
    real = audio._decode

    def decode(source, bounds):
        if "broken" in str(source):
            raise {"broken memory": MemoryError, "broken luck": ZeroDivisionError}[source]("a\nb")
        return real(source, bounds)

    monkeypatch.setattr(audio, "_decode", decode)
    memory, good, luck = model.try_batch(["broken memory", SPEECH, "broken luck"])
    assert good.text == "seven two nine"
    assert isinstance(memory, AudioError)
    assert str(memory).startswith("broken memory needs more memory than there is")
    assert isinstance(luck, AudioError)
    assert str(luck) == "broken luck cannot be read: ZeroDivisionError: a"


def test_what_breaks_off_is_answered_with_a_warning(tmp_path):
    path = tmp_path / "half.mp3"
    soundfile.write(path, soundfile.read(SPEECH)[0], 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match=r"half.mp3 is damaged: [\d.]+ s of [\d.]+ s could be read"):
        read_audio(path, 16000)


def test_silence_of_c_leaves_pythons_own_standard_error(capfd):
    import ctypes

    library = ctypes.CDLL(None)
    stream = ctypes.c_void_p.in_dll(library, "stderr")

    def say(words: bytes) -> None:
        library.fputs(ctypes.c_char_p(words), stream)
        library.fflush(stream)

    with silent_c_library():
        with silent_c_library():
            say(b"within\n")
        say(b"still within\n")
        os.write(2, b"descriptor\n")
        logging.getLogger().debug("nothing")
        print("Python", file=sys.stderr, flush=True)
    say(b"after\n")
    assert capfd.readouterr().err == "descriptor\nPython\nafter\n"
