"""``/v1/audio/live``: audio by WebSocket, words back as no later audio can change them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from w2vc_runtime.audio.blocks import read_blocks
from w2vc_runtime.audio.reader import RATES, Samples
from w2vc_runtime.chunking.collect import Piece
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.results import Transcript, Word

from .hearing import Hearing
from .metrics import Metrics
from .models import Models
from .problems import Problem, body_of, problem_of
from .settings import Settings
from .shapes import word_of

# Codes of RFC 6455 with which a session ends.
NORMAL, POLICY, FAILED, LATER = 1000, 1008, 1011, 1013
ENCODINGS: dict[str, np.dtype] = {"pcm_s16le": np.dtype("<i2"), "pcm_f32le": np.dtype("<f4")}


def live(models: Models, settings: Settings, metrics: Metrics) -> APIRouter:
    """The route of live audio.

    A client connects with ``?model=NAME&sample_rate=16000&encoding=pcm_s16le``, sends binary messages of mono samples
    and the text ``{"type": "end"}``. It gets ``ready``, ``words`` or ``windows``, and ``done``; or ``error``.
    """
    routes = APIRouter()

    @routes.websocket("/v1/audio/live")
    async def session(socket: WebSocket) -> None:
        await socket.accept()
        metrics.live.inc()
        try:
            await _session(socket, models, settings)
            await socket.close(NORMAL)
        except WebSocketDisconnect:
            pass
        except Exception as error:
            problem = problem_of(error)
            codes = {429: LATER, 503: LATER}
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_json({"type": "error", **body_of(problem)})
                await socket.close(codes.get(problem.status, POLICY if problem.status < 500 else FAILED))
        finally:
            metrics.live.dec()

    return routes


async def _session(socket: WebSocket, models: Models, settings: Settings) -> None:
    _expect_own_page(socket, settings)
    query = socket.query_params
    served = models.get(query.get("model", ""))
    rate = _rate(query.get("sample_rate", "16000"))
    encoding = ENCODINGS.get(query.get("encoding", "pcm_s16le"))
    if encoding is None:
        raise Problem(422, "invalid_value", f"encoding must be one of {', '.join(ENCODINGS)}")
    hearing = Hearing(served, settings, ChunkOptions(settings.live_chunk_seconds), patient=True)
    await socket.send_json({"type": "ready", "latency_seconds": hearing.plan.latency_seconds})
    given = _Given()
    blocks = read_blocks((given, rate), hearing.plan.sampling_rate)
    while (message := await _message(socket, settings)) is not None:
        if len(message) % encoding.itemsize:
            raise Problem(422, "invalid_audio", "a message must hold whole samples")
        given.block = np.frombuffer(message, encoding)
        if len(given.block):
            hearing.renew()
            # The resampler keeps what it has; the block that it gives is all there is of the message.
            await _send(socket, await hearing.push(await asyncio.to_thread(next, blocks)))
    for rest in blocks:
        await _send(socket, await hearing.push(rest))
    await _send(socket, await hearing.end())
    result = hearing.result()
    text = result.text if isinstance(result, Transcript) else result.to_text()
    await socket.send_json({"type": "done", "text": text, "duration": round(result.duration, 3)})


class _Given:
    """An iterator over what came last; it ends where nothing new did."""

    def __init__(self) -> None:
        self.block: np.ndarray | None = None

    def __iter__(self) -> _Given:
        return self

    def __next__(self) -> Samples:
        block, self.block = self.block, None
        if block is None:
            raise StopIteration
        return block


async def _message(socket: WebSocket, settings: Settings) -> bytes | None:
    """The next binary message; None at the end."""
    try:
        message = await asyncio.wait_for(socket.receive(), settings.idle_time)
    except asyncio.TimeoutError as error:
        raise Problem(408, "idle", f"no audio came within {settings.idle_time:g} s") from error
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", NORMAL))
    if message.get("bytes") is not None:
        return message["bytes"]
    with contextlib.suppress(ValueError, RecursionError):
        said: Any = json.loads(message.get("text") or "")
        if isinstance(said, dict) and said.get("type") == "end":
            return None
    raise Problem(422, "invalid_value", 'expected binary messages of samples, and {"type": "end"} as text')


async def _send(socket: WebSocket, pieces: list[Piece]) -> None:
    words = [word_of(piece) for piece in pieces if isinstance(piece, Word)]
    windows = [piece.to_dict() for piece in pieces if not isinstance(piece, Word)]
    if words:
        await socket.send_json({"type": "words", "words": words})
    if windows:
        await socket.send_json({"type": "windows", "windows": windows})


def _rate(text: str) -> int:
    low, high = RATES
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and low <= int(text) <= high):
        raise Problem(422, "invalid_value", f"sample_rate must be a whole number of Hz, {low} to {high}")
    return int(text)


def _expect_own_page(socket: WebSocket, settings: Settings) -> None:
    """Browsers let any page open a WebSocket to anywhere, and say which page it is."""
    origin = socket.headers.get("origin")
    if origin is None or origin in settings.origins:
        return
    if urlsplit(origin).netloc != socket.headers.get("host"):
        raise Problem(403, "forbidden_origin", "pages of other sites may not use this service")
