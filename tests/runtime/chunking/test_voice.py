"""Cuts where nobody speaks, by a voice activity model: what it is fed, and where it cuts and loudness does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.commands import refused
from support.paths import DEMO_AUDIO
from support.voice import made_voice_model
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import ChunkOptions, OptionError, VoiceActivity, load
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.bundle import Frames
from w2vc_runtime.chunking.chunker import Chunker
from w2vc_runtime.chunking.plan import Plan, plan_for
from w2vc_runtime.cli import main as cli
from w2vc_runtime.features import Waveform

RATE = 16000
RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def silero() -> Path:
    found = importlib.util.find_spec("silero_vad")
    if found is None:
        pytest.skip("Silero VAD is not installed: pip install silero-vad")
    return Path(found.origin).parent / "data" / "silero_vad.onnx"


def blocks_of(samples: np.ndarray):
    random = np.random.default_rng(1)
    while len(samples):
        size = int(random.integers(1, 2000))
        yield samples[:size]
        samples = samples[size:]


@pytest.mark.parametrize("rate", [True, False])
def test_windows_follow_each_other_with_what_was_before(rate, tmp_path):
    listener = VoiceActivity(made_voice_model(tmp_path / "voice.onnx", rate)).listen()
    samples = RANDOM.uniform(0, 1, 512 * 20 + 100).astype(np.float32)
    for block in blocks_of(samples):
        listener.push(block)
    padded, state, expected = np.concatenate([np.zeros(64), samples]), 0.0, []
    for at in range(0, 512 * 20, 512):
        window = padded[at + 64 : at + 576].mean()
        expected.append(0.5 * padded[at : at + 64].mean() + 0.25 * (window + state))
        state = window
    heard = listener.activity(0, 512 * 20, 512)
    np.testing.assert_allclose(heard, expected, atol=1e-6)
    listener.forget(512 * 7 + 30)
    np.testing.assert_array_equal(listener.activity(512 * 7, 512 * 20, 256), np.repeat(heard[7:], 2))


def test_it_hears_what_the_package_hears(silero):
    """The oracle is the package's own wrapper."""
    import torch
    from silero_vad.utils_vad import OnnxWrapper

    theirs = OnnxWrapper(str(silero), force_onnx_cpu=True)
    samples = read_audio(DEMO_AUDIO / "phone-number.flac", RATE)
    count = len(samples) // 512
    expected = [theirs(torch.from_numpy(samples[512 * at :][:512]), RATE).item() for at in range(count)]
    listener = VoiceActivity(silero).listen()
    for block in blocks_of(samples):
        listener.push(block)
    np.testing.assert_allclose(listener.activity(0, 512 * count, 512), expected, atol=1e-5)
    assert min(expected) < 0.1
    assert max(expected) > 0.9


def recording(path: Path, parts: int) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Speech, and noise between that is louder than it; where there is speech, in seconds."""
    speech, spans, samples = read_audio(path, RATE), [], []
    noise = RANDOM.standard_normal((parts, int(0.7 * RATE))).astype(np.float32) * np.abs(speech).max()
    for each in noise:
        start = sum(map(len, samples)) / RATE
        spans.append((start, start + len(speech) / RATE))
        samples += [speech, each]
    return np.concatenate(samples), spans


def joins(samples: np.ndarray, vad: VoiceActivity | None) -> list[float]:
    chunker = Chunker(Plan(RATE, 320, 4 * RATE, RATE // 2, 400, True, vad))
    chunks = [chunk for block in blocks_of(samples) for chunk in chunker.push(block)] + chunker.end()
    assert [each.last for each in chunks[:-1]] == [each.first for each in chunks[1:]]
    assert all(each.last % 320 == 0 for each in chunks[:-1])
    return [chunk.last / RATE for chunk in chunks[:-1]]


def cut_inside(cuts: list[float], spans: list[tuple[float, float]]) -> list[float]:
    """What is inside of speech, which has a tenth of a second of its own silence at both ends."""
    return [cut for cut in cuts for start, end in spans if start + 0.1 < cut < end - 0.1]


def test_noise_is_no_reason_to_cut_a_word(silero):
    """Where it is loud between words, loudness cuts inside of speech; voice activity does not."""
    samples, spans = recording(DEMO_AUDIO / "seven-two-nine.flac", 12)
    vad = VoiceActivity(silero)
    heard = joins(samples, vad)
    assert len(heard) > 6
    assert cut_inside(heard, spans) == []
    assert cut_inside(joins(samples, None), spans) != []


def test_a_made_model_cuts_too(tmp_path):
    """What is least active by the model, whatever is loud: here the model hears a constant, and not noise."""
    samples = RANDOM.standard_normal(30 * RATE).astype(np.float32) * 0.01 + 0.9
    quiet = [(at, at + 0.4) for at in np.arange(2.5, 29, 2.0)]
    for start, end in quiet:
        samples[int(start * RATE) : int(end * RATE)] = RANDOM.standard_normal(int(end * RATE) - int(start * RATE)) * 3
    heard = joins(samples, VoiceActivity(made_voice_model(tmp_path / "voice.onnx")))
    assert len(heard) > 6
    assert all(any(start <= cut <= end + 0.1 for start, end in quiet) for cut in heard)
    assert not any(any(start <= cut <= end for start, end in quiet) for cut in joins(samples, None))


def test_a_transcript_is_cut_by_it(digits, tmp_path, capsys):
    path = DEMO_AUDIO / "three-one-four-one-five.flac"
    vad = made_voice_model(tmp_path / "voice.onnx")
    model = load(digits["fp32"], "cpu")
    found = model.chunked(path, ChunkOptions(1.2, 0.3, vad=vad))
    assert found.text == model(path).text
    assert model.chunked(path, ChunkOptions(1.2, 0.3, vad=VoiceActivity(vad))) == found
    command = ["run", str(digits["fp32"]), str(path), "--provider", "cpu", "--chunk-seconds", "1.2", "--vad", str(vad)]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"{found.text}\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no voice activity model"),
        (b"no model", "is no voice activity model"),
        ({"stateN": "next"}, "is a model, but not of voice activity"),
        ({"input": "samples"}, "is a model, but not of voice activity"),
    ],
)
def test_a_wrong_file_is_one_line(content, problem, digits, tmp_path, capsys):
    path = tmp_path / "voice.onnx"
    if isinstance(content, dict):
        made_voice_model(path, **content)
    elif content is not None:
        path.write_bytes(content)
    line = refused(capsys, cli.main, "run", digits["fp32"], DEMO_AUDIO / "seven-two-nine.flac", "--vad", path)
    assert f"{path}" in line
    assert problem in line
    assert "expected silero_vad.onnx" in line


def test_a_head_that_is_cut_evenly_takes_none(tmp_path):
    keywords = export(ExportOptions("keywords", output=tmp_path / "keywords")).bundle
    with pytest.raises(OptionError, match="voice activity is for head 'ctc'"):
        load(keywords, "cpu").plan(ChunkOptions(vad=made_voice_model(tmp_path / "voice.onnx")))


def test_it_hears_one_rate(tmp_path):
    features = Waveform(8000, False, True)
    manifest = SimpleNamespace(head="ctc", frames={"frames": Frames(200, 160)}, features=features, shortest=200)
    with pytest.raises(OptionError, match="is heard at 16000 Hz, and this model is for 8000 Hz"):
        plan_for(manifest, ChunkOptions(vad=made_voice_model(tmp_path / "voice.onnx")), None)
