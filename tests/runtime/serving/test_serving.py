"""The service, by real clients: right answers, one JSON error for what is wrong, and a service that stays up."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from support.paths import DEMO_AUDIO, ROOT
from support.service import Service, posted, until_closed, wav
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import load
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.results.formats import FORMATS

RATE = 16000
SPEECH = DEMO_AUDIO / "seven-two-nine.flac"
SPOKEN = "seven two nine"
FOUR = ROOT / "examples" / "digits" / "words" / "four.flac"


@pytest.fixture(scope="module")
def keywords(tmp_path_factory):
    return export(ExportOptions("keywords", output=tmp_path_factory.mktemp("keywords") / "keywords")).bundle


@pytest.fixture(scope="module")
def model(digits):
    with load(digits["fp32"], "cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def service(digits, keywords, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    (folder / "shelf").mkdir()
    (folder / "shelf" / "spare").symlink_to(keywords)
    settings = {"upload": 2_000_000, "duration": 300.0, "upload_time": 2.0, "repository": str(folder / "shelf")}
    with Service(f"digits={digits['fp32']}", f"keywords={keywords}", folder=folder, **settings) as running:
        yield running


@pytest.mark.parametrize("path", sorted(DEMO_AUDIO.glob("*.flac")), ids=lambda path: path.stem)
def test_openai_client(path, service, model):
    openai = pytest.importorskip("openai")
    with openai.DefaultHttpxClient(trust_env=False) as http:
        client = openai.OpenAI(base_url=f"{service.url}v1", api_key="none", http_client=http)
        expected = model(path)
        ask = {"model": "digits", "file": path}
        create = client.audio.transcriptions.create
        assert create(**ask).text == expected.text
        for kind in ("srt", "vtt", "text"):
            assert create(**ask, response_format=kind) == FORMATS[kind](expected)
        verbose = create(**ask, response_format="verbose_json", timestamp_granularities=["word", "segment"])
        assert [(word.word, word.start, word.end) for word in verbose.words] == [
            (word.text, round(word.start, 3), round(word.end, 3)) for word in expected.words
        ]
        assert " ".join(segment.text for segment in verbose.segments) == expected.text
        events = list(create(**ask, stream=True))
        assert "".join(event.delta for event in events[:-1]) == events[-1].text == expected.text
        assert {each.id for each in client.models.list()} >= {"digits", "keywords"}
        with pytest.raises(openai.NotFoundError, match="no model of that name"):
            create(file=path, model="whisper-1")


def test_the_clients_of_the_page_get_their_answers(service):
    """The blocks of docs/serving.md that ask a running service."""
    address = service.url.removeprefix("http://").rstrip("/")
    page = (ROOT / "docs" / "serving.md").read_text().replace("127.0.0.1:8000", address)
    page = page.replace('open("call.flac", "rb")', f'open("{SPEECH}", "rb")')
    asked = []
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", page, re.DOTALL):
        if address not in block or (language == "sh" and shutil.which("curl") is None):
            continue
        command = ["bash", "-ec", block] if language == "sh" else [sys.executable, "-c", block]
        environment = {**os.environ, "no_proxy": "*"}
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        asked.append(result.stdout)
    assert len(asked) == (4 if shutil.which("curl") else 2)
    assert all(SPOKEN in said or "five five five zero" in said for said in asked), asked


def test_a_long_recording_is_answered_in_chunks(service, model):
    speech = soundfile.read(SPEECH)[0]
    long = np.concatenate([np.concatenate([speech, np.zeros(RATE)]) for _ in range(20)]).astype(np.float32)
    with service.client() as client:
        answer = posted(client, wav(long, kind="FLAC"), response_format="verbose_json").json()
        streamed = posted(client, wav(long, kind="FLAC"), stream="true").text
    assert answer["text"] == " ".join([SPOKEN] * 20)
    expected = [at * (len(speech) / RATE + 1) + word.start for at in range(20) for word in model(SPEECH).words]
    assert [word["start"] for word in answer["words"]] == pytest.approx(expected, abs=0.04)
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert len(events) > 2
    assert events[-1]["text"] == answer["text"]


def test_a_request_may_ask_for_beam_search_and_hotwords(service):
    pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")
    with service.client() as client:
        plain = posted(client, SPEECH.read_bytes()).json()["text"]
        for fields in ({"decoder": "beam"}, {"hotwords": "nine=3,two"}):
            assert posted(client, SPEECH.read_bytes(), **fields).json()["text"] == plain
        for fields in ({"decoder": "best"}, {"hotwords": "nine=much"}, {"decoder": "greedy", "hotwords": "nine"},
                       {"hotwords": "Ω"}):  # fmt: skip
            answer = posted(client, SPEECH.read_bytes(), **fields)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value"), answer.text


def test_other_heads_have_their_answers(service, keywords):
    with service.client() as client:
        answer = posted(client, FOUR.read_bytes(), "keywords").json()
        assert posted(client, FOUR.read_bytes(), "keywords", response_format="srt").status_code == 422
        assert posted(client, FOUR.read_bytes(), pooled="true").status_code == 422
    with load(keywords, "cpu") as model:
        assert answer == {"text": model(FOUR).to_text(), **model(FOUR).to_dict()}


@pytest.mark.parametrize(("rate", "encoding"), [(16000, "pcm_s16le"), (44100, "pcm_f32le")])
def test_live_audio(rate, encoding, service, model):
    from websockets.sync.client import connect

    speech = soundfile.read(SPEECH)[0]
    said = np.concatenate([speech, np.zeros(RATE // 2)] * 6)
    soxr = pytest.importorskip("soxr")
    samples = soxr.resample(said, RATE, rate) if rate != RATE else said
    sent = (samples * 32767).astype("<i2") if encoding == "pcm_s16le" else samples.astype("<f4")
    url = f"ws{service.url[4:]}v1/audio/live?model=digits&sample_rate={rate}&encoding={encoding}"
    with connect(url, proxy=None) as connection:
        ready = json.loads(connection.recv())
        assert (ready["type"], ready["latency_seconds"]) == ("ready", 4.0)
        for start in range(0, len(sent), 1234):
            connection.send(sent[start : start + 1234].tobytes())
        connection.send(json.dumps({"type": "end"}))
        events = [json.loads(message) for message in connection]
    words = [word["word"] for event in events[:-1] for word in event["words"]]
    assert len(events) > 2
    assert events[-1]["text"] == " ".join(words) == " ".join([SPOKEN] * 6)
    cut = model.chunked((said.astype(np.float32), RATE), ChunkOptions(4.0))
    starts = [word["start"] for event in events[:-1] for word in event["words"]]
    assert starts == pytest.approx([word.start for word in cut.words], abs=0.04)


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        ("model=none", b"", "model_not_found"),
        ("model=digits&sample_rate=1", b"", "invalid_value"),
        ("model=digits&encoding=mp3", b"", "invalid_value"),
        ("model=digits", b"odd", "invalid_audio"),
        ("model=digits", "no object", "invalid_value"),
        ("model=digits&encoding=pcm_f32le", np.full(9, np.nan, "<f4").tobytes(), "invalid_audio"),
    ],
)
def test_live_audio_that_is_wrong_is_one_error(query, message, code, service):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(f"ws{service.url[4:]}v1/audio/live?{query}", proxy=None) as connection:
        with contextlib.suppress(ConnectionClosed):  # it may have been refused by then
            connection.send(message)
        events, code_of_end = until_closed(connection)
    assert code_of_end == 1008
    assert [event["type"] for event in events if event["type"] != "ready"] == ["error"]
    assert events[-1]["error"]["code"] == code
    assert service.alive()


def test_pages_of_other_sites_get_nothing(service):
    from websockets.sync.client import connect

    url = f"ws{service.url[4:]}v1/audio/live?model=digits"
    with connect(url, proxy=None, origin="http://elsewhere.example") as connection:
        assert json.loads(connection.recv())["error"]["code"] == "forbidden_origin"
    with service.client() as client:
        answer = client.get("/v1/models", headers={"Origin": "http://elsewhere.example"})
        assert "access-control-allow-origin" not in answer.headers


def test_open_inference_over_tensors_and_audio(service, model):
    clips = [model.read(path) for path in sorted(DEMO_AUDIO.glob("*.flac"))[:2]]
    inputs = model.feed(clips)
    kinds = {"float32": "FP32", "int64": "INT64"}
    tensors = [
        {"name": name, "shape": list(value.shape), "datatype": kinds[value.dtype.name], "data": value.ravel().tolist()}
        for name, value in inputs.items()
    ]
    with service.client() as client:
        described = client.get("/v2/models/digits").json()
        assert {each["name"] for each in described["inputs"]} == {*inputs, "audio"}
        answer = client.post("/v2/models/digits/infer", json={"id": "7", "inputs": tensors}).json()
        (output,) = answer["outputs"]
        assert answer["id"] == "7"
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        np.testing.assert_allclose(found, model.run(inputs)["logits"], atol=1e-4)
        files = [base64.b64encode(path.read_bytes()).decode() for path in sorted(DEMO_AUDIO.glob("*.flac"))]
        audio = {"name": "audio", "shape": [len(files)], "datatype": "BYTES", "data": files}
        (output,) = client.post("/v2/models/digits/infer", json={"inputs": [audio]}).json()["outputs"]
        assert output["data"] == [model(path).to_dict() for path in sorted(DEMO_AUDIO.glob("*.flac"))]
        raw = {"name": "audio", "shape": [len(clips[0])], "datatype": "FP32", "data": clips[0].tolist()}
        (output,) = client.post("/v2/models/digits/infer", json={"inputs": [raw]}).json()["outputs"]
        assert output["data"][0]["text"] == model((clips[0], RATE)).text


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}],
        [{"name": "audio", "shape": [1], "datatype": "BYTES", "data": ["no base64!"]}],
        [{"name": "audio", "shape": [2], "datatype": "BYTES", "data": ["AAAA"]}],
        [{"name": "audio", "shape": [1], "datatype": "INT8", "data": [1]}],
        [{"name": "audio", "shape": [1], "datatype": "FP32", "data": ["a"]}],
        [{"name": "input_values", "shape": [1, 9], "datatype": "FP32", "data": [0] * 9},
         {"name": "attention_mask", "shape": [1, 9], "datatype": "INT64", "data": [1] * 9}],
        [{"name": "input_values", "shape": [1, 900], "datatype": "FP32", "data": [0] * 900},
         {"name": "attention_mask", "shape": [1, 90], "datatype": "INT64", "data": [1] * 90}],
        [{"name": "input_values", "shape": [1, -900], "datatype": "FP32", "data": [0] * 900},
         {"name": "attention_mask", "shape": [1, 900], "datatype": "INT64", "data": [1] * 900}],
    ],
)  # fmt: skip
def test_tensors_that_are_wrong_are_one_error(inputs, service):
    with service.client() as client:
        answer = client.post("/v2/models/digits/infer", json={"inputs": inputs})
    assert answer.status_code == 422, answer.text
    assert isinstance(answer.json()["error"], str)
    assert service.alive()


def test_bundles_are_loaded_and_unloaded_at_run_time(service):
    with service.client() as client:
        states = {each["name"]: each["state"] for each in client.post("/v2/repository/index").json()}
        assert states["spare"] == "UNAVAILABLE"
        assert client.post("/v2/repository/models/spare/load").status_code == 200
        assert posted(client, FOUR.read_bytes(), "spare").json()["labels"] == ["four"]
        assert client.post("/v2/repository/models/spare/load").status_code == 200, "anew"
        assert client.post("/v2/repository/models/spare/unload").status_code == 200
        assert posted(client, FOUR.read_bytes(), "spare").status_code == 404
        for name in ("..", "%2e%2e", "..%2f..%2fetc", ".hidden", "nothing", "spare%00"):
            assert client.post(f"/v2/repository/models/{name}/load").status_code in (404, 405), name


BOMB = np.zeros(RATE * 400, np.int16)


@pytest.mark.parametrize(
    ("audio", "status", "code"),
    [
        (b"", 422, "invalid_audio"),
        (b"no audio at all", 415, "unsupported_audio"),
        (SPEECH.read_bytes()[:40], 415, "unsupported_audio"),
        (wav(np.zeros(100)), 422, "invalid_audio"),
        (wav(np.full(RATE, np.nan, np.float32)), 200, None),  # which a file of 16 bits holds as a number
        (wav(BOMB, kind="FLAC"), 413, "audio_too_long"),
        (bytes(2_100_000), 413, "body_too_large"),
    ],
)
def test_uploads_that_are_wrong(audio, status, code, service):
    with service.client() as client:
        answer = posted(client, audio)
    assert (answer.status_code, answer.json().get("error", {}).get("code")) == (status, code), answer.text
    assert service.alive()


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/v1/audio/transcriptions", {}, 405),
        ("GET", "/../../etc/passwd", {}, 404),
        ("POST", "/v1/audio/transcriptions", {"json": {}}, 415),
        ("POST", "/v1/audio/transcriptions", {"data": {"model": "digits"}, "files": {"other": b""}}, 422),
        ("POST", "/v1/audio/transcriptions", {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
         400),
        ("POST", "/v2/models/digits/infer", {"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ("POST", "/v2/models/digits/infer", {"content": b"[" * 100000, "headers": {"content-type": "application/json"}},
         400),
        ("POST", "/v2/models/digits/infer", {"content": b"{}"}, 415),
    ],
)  # fmt: skip
def test_requests_that_are_wrong_are_one_json_error(method, path, options, status, service):
    with service.client() as client:
        answer = client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert service.alive()


def raw(service: Service, *parts: bytes, pause: float = 0.0, limit: float = 30.0) -> bytes:
    """What comes back for bytes on a socket."""
    with socket.create_connection(service.address, timeout=limit) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return answer


HEAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"


def test_headers_of_a_megabyte(service):
    answer = raw(service, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431"), answer[:100]
    assert b"headers_too_large" in answer
    answer = raw(service, b"no http\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "invalid_request"
    assert service.alive()


def test_an_upload_without_end_is_cut_off(service):
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in [begin, *[bytes(0x10000)] * 60]]
    answer = raw(service, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *parts)
    assert b" 413 " in answer.splitlines()[0]
    assert b"body_too_large" in answer
    assert service.alive()


def test_a_slow_upload_is_cut_off(service):
    begin = time.monotonic()
    answer = raw(service, HEAD + b"Content-Length: 1000\r\n\r\n", b"--b\r\n")
    assert b" 408 " in answer.splitlines()[0]
    assert b"upload_timeout" in answer
    assert time.monotonic() - begin < 20
    assert service.alive()


def test_clients_that_vanish(service):
    audio = wav(np.random.default_rng(0).normal(0, 0.1, RATE * 40))
    body = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ndigits\r\n--b\r\nContent-Disposition: form-data; '
    )
    body += b'name="file"; filename="a"\r\n\r\n' + audio + b"\r\n--b--\r\n"
    for size in (100, len(body)):
        with socket.create_connection(service.address) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:size])
    assert service.alive()
    with service.client() as client:
        assert posted(client, SPEECH.read_bytes()).json()["text"] == SPOKEN


def test_logs_and_figures_hold_nothing_of_what_was_said(service):
    with service.client() as client:
        posted(client, SPEECH.read_bytes(), prompt="a secret")
        figures = client.get("/metrics").text
        assert "/v1/audio/transcriptions" in client.get("/openapi.json").text
    assert 'w2vc_requests_total{route="/v1/audio/transcriptions",status="200"}' in figures
    assert 'w2vc_audio_seconds_total{model="digits"}' in figures
    shown = json.dumps(service.log) + figures
    assert not any(word in shown for word in ("seven", "secret", "seven-two-nine"))
    assert any(event.get("route") == "/v1/audio/transcriptions" for event in service.log)
