"""What a graph gives is held to its manifest."""

from __future__ import annotations

import numpy as np
import pytest

from w2vc_runtime import InferenceError
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.model import Model
from w2vc_runtime.sessions.checked import CheckedSession

CLIP = np.zeros(16000, np.float32)
FRAMES = 49


class Gives:
    """A session that gives one thing, whatever it is given."""

    provider = "it"

    def __init__(self, outputs) -> None:
        self.outputs = outputs

    def run(self, inputs):
        return self.outputs


def model(digits, outputs) -> Model:
    manifest = Bundle.read(digits["fp32"]).manifest
    return Model(manifest, CheckedSession(Gives(outputs), manifest.interface))


def test_what_fits_is_answered(digits):
    (answer,) = model(digits, {"logits": np.eye(1, 32, dtype=np.float32).repeat(FRAMES, 0)[None]}).infer([CLIP])
    assert answer.text == ""


@pytest.mark.parametrize(
    ("outputs", "line"),
    [
        ({}, "the graph gives nothing as logits, and its manifest says float32"),
        ({"logits": np.zeros((1, FRAMES, 32))}, r"the graph gives float64 \[1, 49, 32\] as logits"),
        ({"logits": np.zeros((1, FRAMES, 31), np.float32)}, r"the graph gives float32 \[1, 49, 31\] as logits"),
        ({"logits": np.zeros((2, FRAMES, 32), np.float32)}, r"the graph gives float32 \[2, 49, 32\] as logits"),
        ({"logits": np.zeros((FRAMES, 32), np.float32)}, r"the graph gives float32 \[49, 32\] as logits"),
        ({"logits": np.full((1, FRAMES, 32), "a")}, "the graph gives str"),
        ({"logits": np.zeros((1, FRAMES - 1, 32), np.float32)}, "logits has 48 frames, and a clip like this has 49"),
    ],
)
def test_what_does_not_fit_is_an_error(outputs, line, digits):
    with pytest.raises(InferenceError, match=line):
        model(digits, outputs).infer([CLIP])
