"""What is not finite is an error with the file's name, and never an empty answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from support.oracle import clips
from w2vc_runtime import AudioError, InferenceError, Model
from w2vc_runtime.bundle import Bundle, Labels, Tensor
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.decoding import GreedyDecoder
from w2vc_runtime.features import LogMel, Waveform
from w2vc_runtime.results import ANSWERS, MULTI_LABEL, REGRESSION, Embedding, Pretraining

CLIP = (0.1 * np.sin(np.arange(1360) / 20)).astype(np.float32)  # four frames
FRAMES = ("batch", "frames", 32)
OUTPUTS = {
    "base": {"last_hidden_state": FRAMES},
    "ctc": {"logits": FRAMES},
    "sequence-classification": {"logits": ("batch", 32)},
    "frame-classification": {"logits": FRAMES},
    "xvector": {"logits": ("batch", 32), "embeddings": ("batch", 32)},
    "pretraining": {"projected_states": FRAMES, "projected_quantized_states": FRAMES, "codevector_perplexity": ()},
}


def model(digits, head, values):
    """A model whose graph gives these values for all that it computes. values: [4, 32]."""
    manifest = Bundle.read(digits["fp32"]).manifest
    labels = Labels(tuple(f"class {index}" for index in range(32)), "single_label_classification")
    outputs = tuple(Tensor(name, "float32", shape) for name, shape in OUTPUTS[head].items())

    def run(inputs):
        shapes = {2: values[0], 0: values[0, 0], 3: values}
        return {each.name: shapes[len(each.shape)][None] if each.shape else shapes[0] for each in outputs}

    session = SimpleNamespace(provider="none", run=run)
    return Model(replace(manifest, head=head, labels=labels, outputs=outputs), session)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("head", ANSWERS)
def test_no_head_answers_what_is_not_finite(head, value, digits):
    values = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    model(digits, head, values)((CLIP, 16000))
    values[0, 0] = value
    with pytest.raises(InferenceError, match=r"^audio: \w+ of provider 'none' are not finite"):
        model(digits, head, values)((CLIP, 16000))


def test_the_command_names_the_file(digits, tone, monkeypatch, capsys):
    broken = model(digits, "ctc", np.full((49, 32), np.nan, np.float32))
    monkeypatch.setattr("w2vc_runtime.cli.run.load", lambda *arguments, **more: broken)
    assert run_cli.main(["run", str(digits["fp32"]), str(tone)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"w2vc: {tone}: logits of provider 'none' are not finite")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_decoder_refuses_what_is_not_finite(value, digits):
    decoder = GreedyDecoder(Bundle.read(digits["fp32"]).manifest.ctc)
    logits = np.zeros((4, 32), np.float32)
    decoder.decode(logits)
    logits[2, 5] = value
    with pytest.raises(InferenceError, match="NaN or infinite values among the logits"):
        decoder.decode(logits)


@pytest.mark.parametrize("problem_type", ["single_label_classification", MULTI_LABEL, REGRESSION])
def test_the_largest_numbers_there_are_give_no_warning(problem_type, digits):
    values = np.full((4, 32), -3e38, np.float32)
    values[:, 5] = 3e38
    labels = Labels(tuple(map(str, range(32))), problem_type)
    manifest = replace(Bundle.read(digits["fp32"]).manifest, labels=labels)
    answer = ANSWERS["sequence-classification"](manifest)({"logits": values[0]}, 1.0)
    assert max(answer.scores, key=lambda each: each.score).label == "5"
    assert GreedyDecoder(manifest.ctc).decode(values).tokens


def test_vectors_without_a_direction_are_like_no_other():
    zero, one = (Embedding(np.full(4, value, np.float32), np.zeros(4, np.float32), 1.0) for value in (0, 1e30))
    assert zero.similarity(one) == 0.0
    assert one.similarity(one) == pytest.approx(1.0)
    states = np.zeros((3, 4), np.float32)
    assert Pretraining(states, states, 1.0, 1.0).similarity.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("power", [20, 30, 38])
def test_recordings_that_are_no_sound_are_one_line(power, digits, tmp_path, capfd):
    path = tmp_path / "loud.wav"
    soundfile.write(path, (CLIP * np.float32(10.0**power)), 16000, subtype="FLOAT")
    assert run_cli.main(["run", str(digits["fp32"]), str(path)]) == 2
    shown = capfd.readouterr()
    assert shown.err.startswith(f"w2vc: {path} holds samples of up to 1e+{power - 1}; expected -1 to 1")
    assert shown.err.count("\n") == 1


def test_the_loudest_that_is_taken_is_computed_rightly(digits):
    """Floats that hold integers of 32 bits; there is no warning either."""
    (clip,) = clips(27200)
    for recipe in (Waveform(16000, True, True), LogMel()):
        usual, loud = (recipe([each], "padding-invariant")[recipe.input] for each in (clip, clip * np.float32(2**28)))
        np.testing.assert_allclose(loud, usual, atol=1e-4 * np.abs(usual).max())


def test_features_that_overflow_are_an_error(digits):
    """`Model.infer` takes samples from anywhere."""
    opened = model(digits, "ctc", np.zeros((4, 32), np.float32))
    with pytest.raises(InferenceError, match="the features are not finite"):
        opened.infer([CLIP * np.float32(1e38)])
    with pytest.raises(AudioError, match="samples of up to"):
        opened((CLIP * np.float32(1e38), 16000))
