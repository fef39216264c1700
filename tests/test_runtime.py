"""Features and decoding equal Hugging Face's; batches equal single clips; recordings of every kind are read."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import soundfile
from conftest import DEMO_AUDIO
from oracle import LETTERS, clips
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

from w2vc_exporter.recipes import read_ctc
from w2vc_runtime import AudioError, OptionError, load
from w2vc_runtime.audio import read_audio
from w2vc_runtime.ctc import GreedyDecoder
from w2vc_runtime.features import Waveform
from w2vc_runtime.manifest import Ctc


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


SETTINGS = [
    {},
    {"do_lower_case": True},
    {"replace_word_delimiter_char": "_"},
    {"word_delimiter_token": "e"},
    {"clean_up_tokenization_spaces": True},
    {"pad_token": "z", "unk_token": "q"},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("seed", range(5))
def test_greedy_decoding_equals_hugging_face(settings, seed, tmp_path):
    vocabulary = {token: index for index, token in enumerate(LETTERS)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(tmp_path / "vocab.json", **settings)
    tokenizer.save_pretrained(tmp_path)
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((200, len(LETTERS) + 2)).astype(np.float32)
    logits[:, [0, 4, 25]] += 1.5  # blanks and delimiters, as often as in speech
    logits = np.repeat(logits, generator.integers(1, 4, len(logits)), axis=0)

    rules = read_ctc(tmp_path, len(LETTERS) + 2)
    decoder = GreedyDecoder(rules, skip_special_tokens=False)
    expected = tokenizer.decode(logits.argmax(-1), output_char_offsets=True, output_word_offsets=True)
    characters = decoder.characters(logits)
    assert decoder.text(characters) == expected.text
    assert [{"char": c.text, "start_offset": c.start, "end_offset": c.end} for c in characters] == expected.char_offsets
    words = [(word.text, word.start, word.end) for word in decoder.words(characters, 1.0)]
    lower = str.lower if settings.get("do_lower_case") else str
    assert words == [(lower(w["word"]), w["start_offset"], w["end_offset"]) for w in expected.word_offsets]


def frames(text: str, vocabulary: tuple[str, ...], peak: float = 8.0) -> np.ndarray:
    logits = np.zeros((len(text), len(vocabulary)), np.float32)
    for row, token in enumerate(text):
        logits[row, vocabulary.index(token)] = peak
    return logits


RULES = Ctc(vocabulary=("-", "*", "|", "h", "e", "l", "o"), blank=0, word_delimiter="|", special_tokens=("-", "*"))


def test_special_tokens_are_dropped_and_double_letters_are_kept():
    decoder = GreedyDecoder(RULES)
    assert decoder.text(decoder.characters(frames("*hheel-l*oo|", RULES.vocabulary))) == "hello"
    assert decoder.text(decoder.characters(frames("-----", RULES.vocabulary))) == ""
    assert decoder.characters(np.zeros((0, 7), np.float32)) == []


def test_words_have_times_and_confidence():
    decoder = GreedyDecoder(RULES)
    logits = frames("-he-||lo-", RULES.vocabulary)
    logits[7] = 0  # the o of "lo": uniform, so that its probability is 1 / 7
    logits[7, 6] = 1e-3
    first, second = decoder.words(decoder.characters(logits), 0.02)
    assert (first.text, first.start, first.end) == ("he", 0.02, 0.06)
    assert (second.text, second.start, second.end) == ("lo", 0.12, 0.16)
    sure = np.exp(8) / (np.exp(8) + 6)
    assert first.confidence == pytest.approx(sure, rel=1e-5)
    assert second.confidence == pytest.approx(np.sqrt(sure / 7), rel=1e-3)


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
    with pytest.raises(OptionError, match="unknown provider 'tpu'; known: auto, cpu, cuda"):
        load(digits["fp32"], provider="tpu")
    with pytest.raises(OptionError, match="provider 'cuda' is not in this onnxruntime"):
        load(digits["fp32"], provider="cuda")
    assert load(digits["fp32"]).provider == "cpu"
