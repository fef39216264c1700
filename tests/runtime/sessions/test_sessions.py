"""Sessions and models are closed: memory is let go of at once, and what comes after is one line."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from w2vc_runtime import InferenceError, load
from w2vc_runtime.sessions.select import open_session


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_closed_session_has_let_go_of_its_graph(provider, digits):
    pytest.importorskip({"cpu": "onnxruntime"}.get(provider, provider))
    inputs = {"input_values": np.zeros((1, 8000), np.float32), "attention_mask": np.ones((1, 8000), np.int64)}
    with open_session(digits["fp32"] / "model.onnx", provider) as session:
        assert session.run(inputs)["logits"].shape[0] == 1
        loaded = weakref.ref(session._session if provider == "cpu" else session._compiled)
        assert loaded() is not None
    assert loaded() is None
    session.close()
    with pytest.raises(InferenceError, match=f"^the session of provider '{provider}' is closed; open another one$"):
        session.run(inputs)


def test_a_model_is_closed_with_its_session(digits, tone):
    with load(digits["fp32"], "cpu") as model:
        loaded = weakref.ref(model._session._session._session)
        model(tone)
    assert loaded() is None
    model.close()
    with pytest.raises(InferenceError, match=f"^{tone}: the session of provider 'cpu' is closed; open another one$"):
        model(tone)
