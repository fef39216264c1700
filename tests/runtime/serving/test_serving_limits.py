"""What bounds a service, and how it ends: a key, a queue, times, signals, and a bundle that is replaced."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
import soundfile

from support.paths import DEMO_AUDIO
from support.service import Service, posted, until_closed, wav
from w2vc_runtime import InferenceError, load
from w2vc_runtime.serving.app import application
from w2vc_runtime.serving.settings import Settings

RATE = 16000
SPEECH = DEMO_AUDIO / "seven-two-nine.flac"
SPOKEN = "seven two nine"


def test_a_worker_that_fails_is_a_500_and_the_next_is_answered(digits, monkeypatch):
    """In this process, whose model can be broken."""

    async def scene():
        app, models = application(Settings(bundles=(f"digits={digits['fp32']}",), provider="cpu"))
        await models.start()
        model = models.get("digits").model
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:

            async def ask() -> tuple[int, dict]:
                files, data = {"file": SPEECH.read_bytes()}, {"model": "digits"}
                answer = await client.post("/v1/audio/transcriptions", files=files, data=data)
                return answer.status_code, answer.json()

            for error, code in (
                (InferenceError("the backend failed"), "inference_failed"), (MemoryError(), "inference_failed"),
                (ZeroDivisionError("a bug, and not for clients"), "internal_error"),
            ):  # fmt: skip
                with monkeypatch.context() as broken:
                    broken.setattr(model, "outputs", Mock(side_effect=error))
                    status, body = await ask()
                assert (status, body["error"]["code"]) == (500, code)
                assert "a bug" not in body["error"]["message"]
                assert await ask() == (200, {"text": SPOKEN})
        await models.close()

    asyncio.run(scene())


def test_a_key_is_asked_for(digits, tmp_path):
    from websockets.sync.client import connect

    with Service(f"digits={digits['fp32']}", folder=tmp_path, api_key="sesame") as service:
        with service.client() as client:
            assert posted(client, SPEECH.read_bytes()).json()["text"] == SPOKEN
            for key in ("", "Bearer wrong", "Bearer sesam\u00e9".encode()):
                answer = client.get("/v1/models", headers={"Authorization": key})
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
            assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
            for path in ("/", "/healthz", "/readyz"):
                assert client.get(path, headers={"Authorization": ""}).status_code == 200
        with connect(f"ws{service.url[4:]}v1/audio/live?model=digits", proxy=None) as connection:
            assert json.loads(connection.recv())["error"]["code"] == "invalid_api_key"


def test_a_full_queue_refuses_and_nothing_is_wrong_or_lost(digits, tmp_path):
    clips = {path: path.read_bytes() for path in sorted(DEMO_AUDIO.glob("*.flac"))}
    model = load(digits["fp32"], "cpu")
    expected = {path: model(path).text for path in clips}
    settings = {"queue": 1, "batch": 1, "requests": 10}
    with Service(f"digits={digits['fp32']}", folder=tmp_path, **settings) as service, service.client() as client:

        def ask(number: int) -> tuple[int, bool]:
            path = list(clips)[number % len(clips)]
            answer = posted(client, clips[path])
            if answer.status_code != 200:
                assert answer.headers["retry-after"] == "1"
                return answer.status_code, answer.json()["error"]["code"] in ("queue_full", "busy")
            return 200, answer.json()["text"] == expected[path]

        with ThreadPoolExecutor(24) as threads:
            found = list(threads.map(ask, range(96)))
        assert all(right for _, right in found)
        statuses = {status for status, _ in found}
        assert 200 in statuses
        assert statuses <= {200, 429, 503}
        assert len(statuses) > 1
        assert posted(client, clips[SPEECH]).json()["text"] == SPOKEN


def test_what_takes_too_long_is_let_go(digits, tmp_path):
    from websockets.sync.client import connect

    settings = {"answer_time": 0.001, "idle_time": 0.5, "duration": 3.0}
    with Service(f"digits={digits['fp32']}", folder=tmp_path, **settings) as service, service.client() as client:
        answer = posted(client, SPEECH.read_bytes())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "answer_timeout")
        with connect(f"ws{service.url[4:]}v1/audio/live?model=digits", proxy=None) as connection:
            events, code = until_closed(connection)
        assert ([event.get("error", {}).get("code") for event in events], code) == ([None, "idle"], 1008)
        with connect(f"ws{service.url[4:]}v1/audio/live?model=digits", proxy=None) as connection:
            connection.send(bytes(2 * RATE * 4))
            events, code = until_closed(connection)
        assert ([event.get("error", {}).get("code") for event in events], code) == ([None, "audio_too_long"], 1008)
        assert service.alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_end_what_is_under_way(number, digits, tmp_path):
    speech = soundfile.read(SPEECH)[0]
    long = np.concatenate([np.concatenate([speech, np.zeros(RATE)]) for _ in range(40)])
    with (
        Service(f"digits={digits['fp32']}", folder=tmp_path, drain_time=300.0) as service,
        service.client() as client,
        ThreadPoolExecutor(1) as thread,
    ):
        begun = threading.Event()

        def ask() -> str:
            with client.stream(
                    "POST", "/v1/audio/transcriptions", files={"file": wav(long, kind="FLAC")},
                    data={"model": "digits", "stream": "true"},
                ) as answer:  # fmt: skip
                lines = answer.iter_lines()
                got = [next(lines)]
                begun.set()
                return "\n".join([*got, *lines])

        asked = thread.submit(ask)
        assert begun.wait(60)
        code = service.end(number)
        shown = asked.result()
    assert f'"text": "{" ".join([SPOKEN] * 40)}"' in shown
    assert code == 128 + number
    assert [event["event"] for event in service.log if event["event"] in ("draining", "ended")] == ["draining", "ended"]


def test_a_bundle_replaced_under_a_running_service(digits, tmp_path):
    place = tmp_path / "bundle"
    shutil.copytree(digits["fp32"], place)
    with Service(f"digits={place}", folder=tmp_path) as service, service.client() as client:
        shutil.rmtree(place)
        assert posted(client, SPEECH.read_bytes()).json()["text"] == SPOKEN
        answer = client.post("/v2/repository/models/digits/load")
        assert answer.status_code == 422
        assert "text" in posted(client, SPEECH.read_bytes()).json(), "what was loaded goes on"
        shutil.copytree(digits["fp16"], place)
        assert client.post("/v2/repository/models/digits/load").status_code == 200
        assert client.get("/v1/models/digits").json()["precision"] == "fp16"
        assert posted(client, SPEECH.read_bytes()).json()["text"] == SPOKEN
