"""Log-mel features equal Hugging Face's."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest
from transformers import SeamlessM4TFeatureExtractor

from support.paths import DEMO_AUDIO
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.features import LogMel

# Far tighter than the 1e-4 that is promised; on one machine with one numpy the two are the same bits.
TOLERANCE = 1e-5


def noise(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [(0.1 * generator.standard_normal(length)).astype(np.float32) for length in lengths]


def check(batch: list[np.ndarray], padding: str = "hf-exact", **settings) -> None:
    theirs = SeamlessM4TFeatureExtractor(**settings)
    expected = theirs(batch, sampling_rate=theirs.sampling_rate, padding=True, return_tensors="np")
    recipe = LogMel.from_preprocessor(json.loads(theirs.to_json_string()))
    compare(recipe(batch, padding), expected)


def compare(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual["input_features"].dtype == np.float32
    assert actual["attention_mask"].dtype == np.int64
    np.testing.assert_array_equal(actual["attention_mask"], expected["attention_mask"])
    np.testing.assert_allclose(actual["input_features"], expected["input_features"], rtol=0, atol=TOLERANCE)


def speech() -> list[np.ndarray]:
    return [read_audio(path, 16000) for path in sorted(DEMO_AUDIO.glob("*.flac"))]


@pytest.mark.parametrize("padding", ["hf-exact", "padding-invariant"])
def test_speech(padding):
    check(speech(), padding)
    for clip in speech():
        check([clip], padding)


def test_recorded_speech(fsdd):
    check([read_audio(path, 16000) for path in sorted(fsdd.glob("*.wav"))[:20]])
    books = sorted((fsdd.parent / "librivox").glob("*.wav"))[:4]
    if books:
        check([read_audio(path, 16000) for path in books])


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(noise(560), id="two frames"),
        pytest.param(noise(719, 720, 721, 879, 880), id="odd and even"),
        pytest.param(noise(16000, 560, 160000, 999), id="very different lengths"),
        pytest.param([np.zeros(length, np.float32) for length in (16000, 560, 99999)], id="silence"),
        pytest.param([*noise(8000), np.full(8001, 0.25, np.float32)], id="constant"),
        pytest.param([np.concatenate([np.zeros(8000, np.float32), *noise(8000)])], id="half silence"),
        pytest.param([1e-4 * clip for clip in noise(9000)], id="quiet"),
        pytest.param([100 * clip for clip in noise(9000)], id="loud"),
        # Every frame is the same: what is normalised are rounding errors.
        pytest.param([np.sin(np.pi * np.arange(50000) / 80).astype(np.float32)], id="tone of the hop"),
        pytest.param([np.sin(np.arange(50000) / 2).astype(np.float32)], id="tone"),
    ],
)
def test_signals(batch):
    check(batch)


def test_ten_minutes_in_little_memory():
    (clip,) = noise(9_600_000)
    check([clip])
    recipe = LogMel()
    tracemalloc.start()
    size = recipe([clip], "hf-exact")["input_features"].nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * size


@pytest.mark.parametrize(
    "settings",
    [
        {"num_mel_bins": 40},
        {"num_mel_bins": 63, "padding_value": -1.5},
        {"sampling_rate": 8000},
        {"sampling_rate": 22051},
        {"feature_size": 160, "padding_value": 1},
    ],
)
def test_settings(settings):
    check([*noise(16000, 800, 4321), np.zeros(2000, np.float32)], **settings)


@pytest.mark.parametrize("stride", [3, 4, 5])
def test_other_strides(stride):
    """Not accepted from a checkpoint, see there; what is computed is Hugging Face's all the same."""
    theirs = SeamlessM4TFeatureExtractor(stride=stride)
    batch = noise(16000, 800, 4321, 879)
    compare(LogMel(stride=stride)(batch, "hf-exact"), theirs(batch, sampling_rate=16000, return_tensors="np"))


def test_one_frame_has_no_variance():
    """Hugging Face divides by nothing; the step is not valid in either."""
    theirs = SeamlessM4TFeatureExtractor()
    with pytest.warns(RuntimeWarning):
        expected = theirs(noise(559), sampling_rate=16000, return_tensors="np")
    actual = LogMel()(noise(559), "hf-exact")
    assert actual["attention_mask"].tolist() == expected["attention_mask"].tolist() == [[0]]
    assert np.isnan(expected["input_features"][0, 0, :80]).all()
    assert not actual["input_features"].any()
    # Beside a longer clip, and shorter than a frame.
    mask = LogMel()(noise(559, 399, 880), "hf-exact")["attention_mask"]
    assert mask.tolist() == [[0, 0], [0, 0], [1, 1]]


def test_the_mask_follows_the_contract():
    """A preprocessor without a mask means: read padding as sound. Only the exact contract does."""
    theirs = SeamlessM4TFeatureExtractor(return_attention_mask=False)
    batch = noise(16000, 900)
    assert "attention_mask" not in theirs(batch, sampling_rate=16000, return_tensors="np")
    recipe = LogMel.from_preprocessor(json.loads(theirs.to_json_string()))
    assert recipe(batch, "hf-exact")["attention_mask"].all()
    assert recipe(batch, "padding-invariant")["attention_mask"].sum(axis=1).tolist() == [49, 2]


@pytest.mark.parametrize("samples", [400, 559, 560, 719, 720, 879, 880, 16000, 16159, 16160])
def test_convolutions_count_the_valid_steps(samples):
    recipe = LogMel()
    count = samples
    for kernel, stride in recipe.convolutions:
        count = (count - kernel) // stride + 1
    output = recipe(noise(samples, 20000), "hf-exact")
    assert output["attention_mask"][0].sum() == count
    assert recipe.shape == ("batch", "frames", output["input_features"].shape[2])


@pytest.mark.parametrize(
    "change",
    [
        {"window_power": 1.0},  # a Hann window
        {"preemphasis": 0.96},
        {"scale": 1.0},
        {"mel_floor": 1e-10},
        {"min_frequency": 0.0},
        {"max_frequency": 7600.0},
        {"mel_break": 650.0},
        {"fft_length": 1024},
        {"ddof": 0},
        {"eps": 1e-5},
    ],
)
def test_every_constant_counts(change):
    """Negative control: the comparison tells each of them apart."""
    batch = [np.concatenate([np.zeros(600, np.float32), *noise(1200)]), np.full(1000, 0.1, np.float32)]
    batch += [1e-4 * clip for clip in noise(1700)]
    expected = SeamlessM4TFeatureExtractor()(batch, sampling_rate=16000, return_tensors="np")
    compare(LogMel()(batch, "hf-exact"), expected)
    with pytest.raises(AssertionError):
        compare(dataclasses.replace(LogMel(), **change)(batch, "hf-exact"), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"padding_side": "left"}, "padding_side 'left' is not supported; supported: 'right'"),
        ({"stride": 1}, "stride 1 is not supported; supported: 2"),
        ({"stride": 4}, "stride 4 is not supported; supported: 2"),
        ({"feature_size": 1}, "feature_size 1 is not supported; supported: 2 or more"),
        ({"num_mel_bins": "80"}, "num_mel_bins '80' is not supported; supported: a positive number"),
        ({"sampling_rate": True}, "sampling_rate True is not supported; supported: a positive number of Hz"),
        ({"padding_value": None}, "padding_value None is not supported; supported: a number"),
        ({"return_attention_mask": 1}, "return_attention_mask 1 is not supported; supported: true, false"),
    ],
)
def test_settings_that_are_refused(values, message):
    with pytest.raises(ValueError) as caught:
        LogMel.from_preprocessor(values)
    assert str(caught.value) == message


def test_recipes_are_plain_values():
    recipe = LogMel.from_preprocessor({"padding_value": 1, "num_mel_bins": 64})
    assert LogMel(**json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe
