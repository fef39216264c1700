"""The digits checkpoint, judged on real speech that it never heard in training."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT
from oracle import difference

from w2vc_runtime import load

sys.path.insert(0, str(ROOT / "examples" / "digits"))

from strings import test_strings as digit_strings
from strings import word_error_rate

STRINGS = 300


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
    return word_error_rate((reference, hypothesis) for reference, hypothesis, _ in rows)


def test_word_error_rate_is_at_most_three_percent(answers):
    assert error_rate(answers["fp32"]) <= 0.03


def test_half_precision_hears_the_same(answers):
    assert abs(error_rate(answers["fp16"]) - error_rate(answers["fp32"])) <= 0.002
    pairs = [(half[2], full[2]) for half, full in zip(answers["fp16"], answers["fp32"])]
    same = np.concatenate([half.argmax(-1) == full.argmax(-1) for half, full in pairs])
    assert same.mean() >= 0.999
    assert max(difference(half, full) for half, full in pairs) < 2e-2
