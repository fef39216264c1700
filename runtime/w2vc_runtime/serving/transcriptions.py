"""``/v1``: what OpenAI's clients speak."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from w2vc_runtime.chunking.collect import Piece
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.results import Transcript, Word
from w2vc_runtime.results.formats import FORMATS

from .decoders import Decoders
from .hearing import Hearing, hear
from .models import Models, Served
from .problems import Problem, body_of, problem_of
from .settings import Settings
from .shapes import simple, verbose, word_of

Made = TypeVar("Made")
RESPONSES = ("json", "verbose_json", "text", "srt", "vtt")
# How often it is looked whether a client is still there, in seconds.
GLANCE = 0.25


def transcriptions(models: Models, settings: Settings, decoders: Decoders) -> APIRouter:
    """The routes under ``/v1``."""
    routes = APIRouter(prefix="/v1", tags=["transcription"])

    @routes.get("/models", summary="The models that are loaded")
    async def listed() -> dict[str, Any]:
        return {"object": "list", "data": [_listed(models.get(name), decoders) for name in models.names()]}

    @routes.get("/models/{name}", summary="One of them")
    async def one(name: str) -> dict[str, Any]:
        return _listed(models.get(name), decoders)

    @routes.post("/audio/transcriptions", response_model=None, summary="Text, classes or embeddings of a recording")
    async def transcribe(
        request: Request,
        file: Annotated[UploadFile, File(description="wav, flac, ogg or mp3")],
        model: Annotated[str, Form(description="the name of a model that is loaded")],
        response_format: Annotated[str, Form()] = "json",
        language: Annotated[str, Form(description="given back, and of no effect")] = "",
        prompt: Annotated[str, Form(description="of no effect")] = "",
        temperature: Annotated[float, Form(description="of no effect")] = 0.0,
        stream: Annotated[bool, Form(description="events as chunks are decoded")] = False,
        pooled: Annotated[bool, Form(description="one answer for all windows of a long recording")] = False,
        decoder: Annotated[str, Form(description="greedy, or beam; by default what the next two ask for")] = "",
        language_model: Annotated[str, Form(description="by name, for decoder beam; by default the bundle's")] = "",
        hotwords: Annotated[str, Form(description="WORD or WORD=WEIGHT, with commas between; for decoder beam")] = "",
    ) -> Response:
        served = models.get(model)
        if response_format not in RESPONSES:
            raise Problem(422, "invalid_value", f"response_format must be one of {', '.join(RESPONSES)}")
        if response_format in ("srt", "vtt") and served.model.manifest.head != "ctc":
            raise Problem(422, "invalid_value", f"response_format {response_format} is for transcripts")
        chunks = ChunkOptions(settings.chunk_seconds, settings.context_seconds, pooled)
        content = await file.read()
        await file.close()
        if not content:
            raise Problem(422, "invalid_audio", "audio is empty: it holds no bytes")
        decodes = await asyncio.to_thread(decoders.decoder, served, decoder, language_model, hotwords)
        hearing = Hearing(served, settings, chunks, decoder=decodes)
        if stream:
            return await _streamed(hearing, content, settings)
        granularities = (await request.form()).getlist("timestamp_granularities[]") or ["word"]
        result = await while_there(request, _whole(hearing, content, settings))
        if response_format == "json":
            return JSONResponse(simple(result))
        if response_format == "verbose_json":
            return JSONResponse(verbose(result, language, "word" in granularities))
        shown = FORMATS[response_format](result)
        return PlainTextResponse(shown, media_type="text/vtt" if response_format == "vtt" else "text/plain")

    return routes


async def _whole(hearing: Hearing, content: bytes, settings: Settings) -> Any:
    async for _ in hear(hearing, content, settings):
        pass
    return hearing.result()


async def _streamed(hearing: Hearing, content: bytes, settings: Settings) -> Response:
    """Server-sent events. What is wrong with the beginning is a status; what is wrong later is an event."""
    found = hear(hearing, content, settings)
    first = await anext(found)

    async def events() -> AsyncIterator[str]:
        said = False
        try:
            async for pieces in _after(first, found):
                words = [piece for piece in pieces if isinstance(piece, Word)]
                if words:
                    text = " ".join(word.text for word in words)
                    shown = [word_of(word) for word in words]
                    delta = f" {text}" if said else text
                    said = True
                    yield _event({"type": "transcript.text.delta", "delta": delta, "words": shown})
                others = [piece.to_dict() for piece in pieces if not isinstance(piece, Word)]
                if others:
                    yield _event({"type": "windows", "windows": others})
            result = hearing.result()
            text = result.text if isinstance(result, Transcript) else result.to_text()
            yield _event({"type": "transcript.text.done", "text": text, "duration": round(result.duration, 3)})
        except Exception as error:
            yield _event({"type": "error", **body_of(problem_of(error))})
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _after(first: list[Piece], found: AsyncIterator[list[Piece]]) -> AsyncIterator[list[Piece]]:
    yield first
    async for pieces in found:
        yield pieces


def _event(values: dict[str, Any]) -> str:
    return f"data: {json.dumps(values, ensure_ascii=False)}\n\n"


async def while_there(request: Request, work: Awaitable[Made]) -> Made:
    """Work for a client; cancelled when that goes away, so that what waits in the queue is not computed."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=GLANCE)
            if done:
                return task.result()
            if await request.is_disconnected():
                raise Problem(499, "client_gone", "the client went away")
    finally:
        task.cancel()


def _listed(served: Served, decoders: Decoders) -> dict[str, Any]:
    manifest = served.model.manifest
    language_models = {"language_models": decoders.names} if manifest.head == "ctc" else {}
    return {
        "id": served.name, "object": "model", "created": served.created, "owned_by": "w2vc",
        "head": manifest.head, "precision": served.place.precision or manifest.graphs[0].precision,
        "provider": served.model.provider, "sampling_rate": manifest.features.sampling_rate,
        **language_models,
    }  # fmt: skip
