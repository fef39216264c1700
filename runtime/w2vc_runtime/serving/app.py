"""The application: routes, and what starts and ends with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.resources import files

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response

from w2vc_runtime.system.version import own_version

from .decoders import Decoders
from .gate import Gate
from .inference import inference
from .live import live
from .metrics import Metrics
from .models import Models
from .problems import handlers
from .settings import Settings
from .transcriptions import transcriptions


def application(settings: Settings) -> tuple[Gate, Models]:
    """The ASGI application for settings, and its bundles, which its caller starts and it closes when it ends."""
    metrics = Metrics()
    models = Models(settings, metrics)
    decoders = Decoders(settings)
    ready = False

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal ready
        ready = True
        try:
            yield
        finally:
            ready = False
            await models.close()

    app = FastAPI(
        title="w2vc",
        version=own_version(),
        description="Wav2Vec2-family bundles: transcription, classification and embeddings.",
        lifespan=lifespan,
        exception_handlers=handlers(),
        docs_url=None,  # which is made of files from elsewhere; openapi.json is served
        redoc_url=None,
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.origins), allow_methods=["*"], allow_headers=["*"]
        )
    page = files(__package__).joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def index() -> str:
        return page

    @app.get("/healthz", tags=["health"], summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="There is a model that answers", response_model=None)
    async def readyz() -> Response:
        fit = ready and bool(models.names())
        return JSONResponse({"status": "ready" if fit else "not ready", "models": models.names()}, 200 if fit else 503)

    @app.get("/metrics", tags=["health"], summary="Figures for Prometheus", response_model=None)
    async def page_of_metrics() -> Response:
        return Response(metrics.page(models.waiting()), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.include_router(transcriptions(models, settings, decoders))
    app.include_router(live(models, settings, metrics))
    app.include_router(inference(models, settings))
    return Gate(app, settings, metrics), models
