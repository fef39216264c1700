"""The checkpoints that the package carries, judged on real speech that they never heard in training."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from support.oracle import difference
from support.paths import ROOT
from w2vc_exporter import ExportOptions, export
from w2vc_exporter.options import CARRIED
from w2vc_runtime import load
from w2vc_runtime.verify.error_rate import error_rates

sys.path.insert(0, str(ROOT / "examples" / "digits"))

from strings import single_clips, word_error_rate
from strings import test_strings as digit_strings

STRINGS = 300


def stated(checkpoint: str) -> float:
    """The score in the card's front matter, as a share."""
    return (
        float(re.findall(r"^ +value: ([\d.]+)$", (CARRIED / checkpoint / "README.md").read_text(), re.MULTILINE)[0])
        / 100
    )


@pytest.fixture(scope="module")
def answers(digits, fsdd):
    """(reference, hypothesis, logits) of every test string, by precision."""
    heard = {}
    for precision, bundle in digits.items():
        model = load(bundle, provider="cpu")
        heard[precision] = []
        for audio, text in digit_strings(fsdd, STRINGS):
            clip = model.read((audio, 16000))
            (outputs,) = model.outputs([clip])
            heard[precision].append((text, model.infer([clip])[0].text, outputs["logits"]))
    return heard


def error_rate(rows) -> float:
    return word_error_rate((reference, hypothesis) for reference, hypothesis, *_ in rows)


def test_half_precision_hears_the_same(answers):
    assert abs(error_rate(answers["fp16"]) - error_rate(answers["fp32"])) <= 0.002
    pairs = [(half[2], full[2]) for half, full in zip(answers["fp16"], answers["fp32"])]
    same = np.concatenate([half.argmax(-1) == full.argmax(-1) for half, full in pairs])
    assert same.mean() >= 0.999
    assert max(difference(half, full) for half, full in pairs) < 2e-2


# What each precision may add to the word error rate of fp32, or take from it.
ALLOWED = {"fp32": 0.0, "fp16": 0.002, "bf16": 0.002, "int8": 0.005}


@pytest.fixture(scope="module", params=["digits", "digits-bert"])
def recogniser(request, tmp_path_factory) -> tuple[str, Path]:
    """A carried checkpoint and its bundle in every precision."""
    target = tmp_path_factory.mktemp("every") / "bundle"
    return request.param, export(ExportOptions(request.param, precision=",".join(ALLOWED), output=target)).bundle


@pytest.mark.parametrize("precision", ALLOWED)
def test_word_error_rate_is_the_cards_in_every_precision(precision, recogniser, fsdd):
    if precision == "bf16":  # which ONNX Runtime has no kernels for on a CPU
        pytest.importorskip("openvino")
    checkpoint, bundle = recogniser
    model = load(bundle, "openvino" if precision == "bf16" else "cpu", precision)
    audio, texts = zip(*digit_strings(fsdd, STRINGS))
    heard = [answer.text for answer in model.batch([(clip, 16000) for clip in audio])]
    rate = word_error_rate(zip(texts, heard))
    assert error_rates(zip(texts, heard)).wer == pytest.approx(rate)  # ours, and the example's
    assert rate == pytest.approx(stated(checkpoint), abs=1e-4 + ALLOWED[precision])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_accuracy_of_the_keywords_is_the_cards(precision, tmp_path, fsdd):
    options = ExportOptions(head="audio-classification", precision=precision, output=tmp_path / "bundle")
    model = load(export(options).bundle, "cpu")
    audio, words = zip(*single_clips(fsdd))
    heard = [answer.label for answer in model.batch([(clip, 16000) for clip in audio])]
    right = np.mean([label == word for label, word in zip(heard, words)])
    assert right == pytest.approx(stated("keywords"), abs=1e-4 if precision == "fp32" else 4e-3)


def test_the_carried_checkpoints_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ExportOptions("digits-bert").source == CARRIED / "digits-bert"
    assert ExportOptions(head="sequence-classification").source == CARRIED / "keywords"
    assert ExportOptions(head="base").source == CARRIED / "digits"
    (tmp_path / "digits-bert").mkdir()  # a directory of the user's own comes first
    assert ExportOptions("digits-bert").source.resolve() == tmp_path / "digits-bert"
