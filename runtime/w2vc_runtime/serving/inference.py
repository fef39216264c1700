"""``/v2``: the Open Inference Protocol, over tensors as the graph has them and over audio."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from w2vc_runtime.bundle import Tensor
from w2vc_runtime.errors import InferenceError
from w2vc_runtime.results.base import plain
from w2vc_runtime.system.version import own_version

from .hearing import answer
from .models import Models, Served
from .problems import Problem
from .settings import Settings
from .transcriptions import while_there

DATATYPES = {"float32": "FP32", "int64": "INT64", "bool": "BOOL"}
KINDS = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_}
AUDIO = "audio"
MOST_CLIPS = 32


class Given(BaseModel):
    """A tensor of a request. data: nested lists or flat, in rows."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = Field(default_factory=dict)


class Infer(BaseModel):
    """An inference request: the graph's own inputs, or one input ``audio``.

    ``audio`` is BYTES [clips], base64 of files, or FP32 [samples] with ``parameters.sample_rate``.
    """

    id: str | None = None
    inputs: list[Given] = Field(min_length=1, max_length=8)
    outputs: list[dict[str, Any]] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


def inference(models: Models, settings: Settings) -> APIRouter:
    """The routes under ``/v2``."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    # Tensors come as their caller made them, and go to the graph as they are: so many at a time.
    turns = asyncio.Semaphore(settings.workers)

    @routes.get("", summary="The service")
    async def server() -> dict[str, Any]:
        return {"name": "w2vc", "version": own_version(), "extensions": ["model_repository"]}

    @routes.get("/health/live")
    async def is_live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready")
    async def is_ready() -> dict[str, bool]:
        return {"ready": bool(models.names())}

    @routes.get("/models/{name}", summary="Inputs and outputs of a model")
    async def described(name: str) -> dict[str, Any]:
        served = models.get(name)
        interface = served.model.interface
        return {
            "name": name, "versions": ["1"], "platform": f"w2vc-{served.model.manifest.head}",
            "inputs": [*map(_described, interface.inputs), {"name": AUDIO, "datatype": "BYTES", "shape": [-1]}],
            "outputs": list(map(_described, interface.outputs)),
        }  # fmt: skip

    @routes.get("/models/{name}/ready")
    async def model_is_ready(name: str) -> dict[str, Any]:
        return {"name": models.get(name).name, "ready": True}

    @routes.post("/models/{name}/infer", summary="Outputs for tensors, or answers for audio")
    async def infer(name: str, body: Infer, request: Request) -> dict[str, Any]:
        served = models.get(name)
        if [each.name for each in body.inputs] == [AUDIO]:
            outputs = await while_there(request, _heard(served, settings, body.inputs[0]))
        else:
            arrays = await asyncio.to_thread(_arrays, body.inputs, served)
            async with turns:
                found = await asyncio.to_thread(served.model.run, arrays)
            if not all(np.isfinite(value).all() for value in found.values()):
                raise InferenceError("the outputs are not finite")
            outputs = [_shown(name, value) for name, value in found.items()]
        wanted = [each.get("name") for each in body.outputs or []]
        chosen = [each for each in outputs if not wanted or each["name"] in wanted]
        if not chosen:
            raise Problem(422, "invalid_value", "there is no output of the names that are asked for")
        identity = {} if body.id is None else {"id": body.id}
        return {"model_name": name, "model_version": "1", **identity, "outputs": chosen}

    @routes.post("/repository/index", summary="What can be loaded, and what is")
    async def index() -> list[dict[str, str]]:
        known = await asyncio.to_thread(models.known)
        return [
            {"name": name, "version": "1", "state": "READY" if loaded else "UNAVAILABLE", "reason": ""}
            for name, loaded in known.items()
        ]

    @routes.post("/repository/models/{name}/load", summary="Load a bundle, or load it anew")
    async def load(name: str) -> dict[str, Any]:
        await models.load(name)
        return {"name": name, "state": "READY"}

    @routes.post("/repository/models/{name}/unload", summary="Let go of a bundle")
    async def unload(name: str) -> dict[str, Any]:
        await models.unload(name)
        return {"name": name, "state": "UNAVAILABLE"}

    return routes


async def _heard(served: Served, settings: Settings, given: Given) -> list[dict[str, Any]]:
    """One output ``result``, BYTES [clips]: the JSON of each clip's answer as an object of its own."""
    if given.datatype == "BYTES":
        if not 0 < len(given.data) <= MOST_CLIPS or given.shape != [len(given.data)]:
            raise Problem(422, "invalid_value", f"{AUDIO} must have the shape [clips], 1 to {MOST_CLIPS} of them")
        sources: list[Any] = [_decoded(each) for each in given.data]
    elif given.datatype == "FP32":
        rate = given.parameters.get("sample_rate", served.model.interface.sampling_rate)
        sources = [(_array(given).reshape(-1), rate)]
    else:
        raise Problem(422, "invalid_value", f"{AUDIO} must be BYTES, base64 of files, or FP32 [samples]")
    results = await asyncio.gather(*(answer(served, settings, source, settings.chunks) for source in sources))
    shown = [result.to_dict() for result in results]
    return [{"name": "result", "datatype": "BYTES", "shape": [len(shown)], "data": shown}]


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Problem(422, "invalid_value", f"{AUDIO} as BYTES must be base64 of a file") from error


def _arrays(given: list[Given], served: Served) -> dict[str, NDArray]:
    """The inputs of the graph, held to its manifest."""
    wanted = {tensor.name: tensor for tensor in served.model.interface.inputs}
    found = {each.name: _array(each) for each in given}
    if found.keys() != wanted.keys():
        raise Problem(422, "invalid_value", f"inputs must be {', '.join(wanted)}, or {AUDIO} alone")
    sizes: dict[str, int] = {}
    for name, array in found.items():
        tensor = wanted[name]
        if array.dtype.name != tensor.dtype or array.ndim != len(tensor.shape):
            raise Problem(422, "invalid_value", f"{name} must be {_described(tensor)}")
        for axis, size in zip(tensor.shape, array.shape):
            if size < 1 or size != (sizes.setdefault(axis, size) if isinstance(axis, str) else axis):
                raise Problem(422, "invalid_value", f"{name} must be {_described(tensor)}, as the other inputs are")
    values = found[served.model.interface.features.input]
    samples = values.shape[1] * (1 if values.ndim == 2 else served.model.interface.frames["frames"].step)
    if samples < served.model.interface.shortest:
        raise Problem(422, "invalid_value", "the inputs are too short for an answer")
    if not served.model.fits(len(values), samples):
        raise Problem(413, "audio_too_long", "the inputs take more memory than there is; send audio, which is cut")
    if not all(np.isfinite(array).all() for array in found.values()):
        raise Problem(422, "invalid_value", "the inputs must be finite")
    return found


def _array(given: Given) -> NDArray:
    kind = KINDS.get(given.datatype)
    if kind is None:
        raise Problem(422, "invalid_value", f"datatype must be one of {', '.join(KINDS)}, or BYTES for {AUDIO}")
    try:
        array = np.array(given.data)
        if array.dtype.kind not in "fiub":
            raise ValueError("no numbers")
        with np.errstate(over="ignore"):
            return array.astype(kind).reshape([max(size, 0) for size in given.shape])
    except (ValueError, TypeError, OverflowError) as error:
        raise Problem(422, "invalid_value", f"{given.name} does not have the shape that it says") from error


def _shown(name: str, value: NDArray) -> dict[str, Any]:
    flat = plain(value.reshape(-1).astype(np.float32)) if value.dtype != np.int64 else value.reshape(-1).tolist()
    return {"name": name, "datatype": DATATYPES[value.dtype.name], "shape": list(value.shape), "data": flat}


def _described(tensor: Tensor) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": shape}
