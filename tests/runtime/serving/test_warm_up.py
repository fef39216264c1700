"""A service is fast from its first answer: it warms its bundles up before it takes requests."""

from __future__ import annotations

import asyncio

from w2vc_runtime.serving.metrics import Metrics
from w2vc_runtime.serving.models import Models
from w2vc_runtime.serving.settings import Settings
from w2vc_runtime.sessions.onnx_runtime import OnnxRuntimeSession


def test_bundles_are_warmed_up_when_they_are_loaded(digits, monkeypatch):
    warmed = []
    monkeypatch.setattr(OnnxRuntimeSession, "warm_up", lambda session: warmed.append(session))

    async def serve() -> None:
        models = Models(Settings(bundles=(f"digits={digits['fp32']}",), provider="cpu"), Metrics())
        await models.start()
        assert len(warmed) == 1
        await models.close()

    asyncio.run(serve())
