"""Features equal Hugging Face's; batches equal single clips; recordings of every kind are read."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from transformers import Wav2Vec2FeatureExtractor

from support.oracle import clips
from support.paths import DEMO_AUDIO
from w2vc_runtime import AudioError, OptionError, load
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.features import Waveform


@pytest.mark.parametrize("do_normalize", [True, False])
@pytest.mark.parametrize("padding_value", [0.0, -1.5])
def test_features_equal_hugging_face(do_normalize, padding_value):
    theirs = Wav2Vec2FeatureExtractor(
        do_normalize=do_normalize, padding_value=padding_value, return_attention_mask=True
    )
    batch = [3.0 * clip + 0.5 for clip in clips(16000, 400, 9001)] + [np.zeros(500, np.float32)]
    expected = theirs(batch, sampling_rate=16000, padding=True, return_tensors="np")
    actual = Waveform(16000, do_normalize, True, padding_value)(batch, "hf-exact")
    np.testing.assert_allclose(actual["input_values"], expected["input_values"], atol=1e-6)
    np.testing.assert_array_equal(actual["attention_mask"], expected["attention_mask"])
    assert actual["input_values"].dtype == np.float32
    assert actual["attention_mask"].dtype == np.int64


def test_the_mask_follows_the_contract():
    """A preprocessor without a mask means: read padding as silence. Only the exact contract does."""
    recipe = Waveform(16000, True, return_attention_mask=False)
    batch = clips(800, 500)
    assert recipe(batch, "hf-exact")["attention_mask"].all()
    assert recipe(batch, "padding-invariant")["attention_mask"].sum(axis=1).tolist() == [800, 500]


def test_a_batch_answers_in_order_and_as_each_clip_alone(digits):
    model = load(digits["fp32"], provider="cpu")
    recordings = sorted(DEMO_AUDIO.glob("*.flac"))
    alone = [model(path) for path in recordings]
    assert all(answer.text for answer in alone)
    for size in (1, 2, 8):
        batch = model.batch([*recordings, *reversed(recordings)], batch_size=size)
        assert [answer.text for answer in batch] == [answer.text for answer in [*alone, *reversed(alone)]]
    together = model.batch(recordings)
    assert [[word.start for word in answer.words] for answer in together] == [
        [word.start for word in answer.words] for answer in alone
    ]
    with pytest.raises(OptionError, match="batch_size must be at least 1"):
        model.batch(recordings, batch_size=0)


def test_every_form_of_audio_gives_the_same_answer(digits, tmp_path):
    model = load(digits["fp32"], provider="cpu")
    path = sorted(DEMO_AUDIO.glob("*.flac"))[0]
    expected = model(path)
    samples, rate = soundfile.read(path)
    stereo = np.stack([samples, samples], axis=1)
    sources = {
        "str": str(path),
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
        "float": (samples, rate),
        "int16": ((samples * 32768).astype(np.int16), rate),
        "stereo": (stereo, rate),
    }
    for name, subtype in (
        ("a.wav", "PCM_U8"),
        ("b.wav", "PCM_24"),
        ("c.wav", "FLOAT"),
        ("d.ogg", None),
        ("e.mp3", None),
    ):
        soundfile.write(tmp_path / name, stereo, rate, subtype=subtype)
        sources[name] = tmp_path / name
    for name, source in sources.items():
        assert model(source).text == expected.text, name


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_other_rates_are_resampled(rate):
    """A tone keeps its pitch and level."""
    time = np.arange(rate) / rate
    samples = read_audio((0.5 * np.sin(2 * np.pi * 440 * time), rate), 16000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert len(samples) == 16000
    np.testing.assert_allclose(samples[1000:-1000], expected[1000:-1000], atol=1e-3)


def test_audio_that_cannot_be_answered(digits, tmp_path):
    model = load(digits["fp32"], provider="cpu")
    for source, message in (
        ((np.zeros(0), 16000), "audio is empty"),
        ((np.array([0.1, np.nan]), 16000), "NaN or infinite"),
        ((np.array([0.1, 0.2]), 16000), "audio is too short: 2 samples; at least 25 ms are needed"),
        ((np.zeros((2, 2, 2)), 16000), "3 dimensions"),
        ((np.zeros(800), 0), "sample rate must be a positive number"),
        ((np.zeros(800, np.complex64), 16000), "floating point or signed integers, got complex64"),
        (b"not audio", "audio is not audio that can be read; expected wav, flac, ogg or mp3"),
        (tmp_path / "gone.wav", "gone.wav does not exist"),
        (tmp_path, "is a directory; expected an audio file"),
    ):
        with pytest.raises(AudioError, match=message):
            model(source)


def test_silence_is_answered_with_no_text_and_a_warning(digits):
    model = load(digits["fp16"], provider="cpu")
    with pytest.warns(UserWarning, match="audio is silent"):
        assert model((np.zeros(16000), 16000)).text == ""


def test_unknown_and_unavailable_providers(digits):
    with pytest.raises(
        OptionError, match="unknown provider 'tpu'; known: auto, cpu, cuda, tensorrt, tensorrt-rtx, openvino"
    ):
        load(digits["fp32"], provider="tpu")
    with pytest.raises(OptionError, match="provider 'cuda' is not in this onnxruntime"):
        load(digits["fp32"], provider="cuda")
