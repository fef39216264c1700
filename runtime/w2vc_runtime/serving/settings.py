"""What a service is told: by a configuration file, environment variables and flags, the last of them first."""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2vc_runtime.batching.asynchronous import Limits
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.documents.reader import DocumentError, read_document
from w2vc_runtime.errors import OptionError

PREFIX = "W2VC_SERVE_"


@dataclass(frozen=True)
class Settings:
    """Everything that a service may be told. Sizes are in bytes, times in seconds.

    bundles: ``[NAME=]PATH[@PRECISION]`` each. repository: a folder whose bundles may be loaded by name at run time.
    language_models: ``NAME=PATH`` each, which a request may name.
    host, port: where it listens. api_key: what clients must show. origins: sites whose pages may call it.
    upload: the largest body. duration: the longest recording, and live session. upload_time: for a body to arrive.
    answer_time: for an answer, waiting included. idle_time: of a live session without audio. requests: at a time.
    queue, batch, delay, workers: of the batcher of each bundle, see `Limits`. chunk_seconds, context_seconds: how
    long recordings are cut. live_chunk_seconds: how live audio is, which bounds its latency. vad: a voice activity
    model, by which transcripts are cut, see `VoiceActivity`.
    drain_time: for what is under way when the service is told to end.
    """

    bundles: tuple[str, ...] = ()
    repository: str | None = None
    language_models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    origins: tuple[str, ...] = ()
    provider: str = "auto"
    upload: int = 100 << 20
    duration: float = 4 * 3600.0
    upload_time: float = 60.0
    answer_time: float = 600.0
    idle_time: float = 30.0
    requests: int = 64
    queue: int = 64
    batch: int = 8
    delay: float = 0.01
    workers: int = 1
    chunk_seconds: float | None = None
    context_seconds: float | None = None
    live_chunk_seconds: float = 4.0
    vad: str | None = None
    drain_time: float = 30.0

    def __post_init__(self) -> None:
        for name in ("upload", "requests", "queue", "batch", "workers"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("duration", "upload_time", "answer_time", "idle_time", "live_chunk_seconds", "drain_time"):
            if not 0 < getattr(self, name) < math.inf:
                raise OptionError(f"{name} must be more than 0 seconds, got {getattr(self, name):g}")
        if not 0 <= self.port < 1 << 16:
            raise OptionError(f"port must be 0 to 65535, got {self.port}")
        if self.api_key is not None and not (self.api_key and self.api_key.isascii() and self.api_key.isprintable()):
            raise OptionError("the API key must be printable ASCII, and not empty")
        self.limits  # noqa: B018  # whose own checks these are
        self.chunks  # noqa: B018

    @property
    def limits(self) -> Limits:
        """Of the batcher of each bundle."""
        return Limits(self.batch, self.delay, self.queue, self.workers)

    @property
    def chunks(self) -> ChunkOptions:
        """How long recordings are cut."""
        return ChunkOptions(self.chunk_seconds, self.context_seconds)

    @property
    def is_open(self) -> bool:
        """Whether other machines may reach it without a key."""
        try:
            local = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            local = self.host == "localhost"
        return not local and self.api_key is None


def settings_from(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Settings of a JSON object in a file, of ``W2VC_SERVE_*``, and of flags that are not None: the last that is given.

    Raises `OptionError` on names that do not exist and values of another type.
    """
    values: dict[str, Any] = {}
    known = {each.name: str(each.type) for each in dataclasses.fields(Settings)}
    if file is not None:
        values |= _of_file(file, known)
    for name, text in environment.items():
        if name.startswith(PREFIX):
            key = name[len(PREFIX) :].lower()
            if key not in known:
                raise OptionError(f"the environment variable {name} is none of this service's; see docs/serving.md")
            values[key] = _parsed(name, text, known[key])
    values |= {name: value for name, value in flags.items() if value is not None}
    return Settings(**values)


def _of_file(file: Path, known: Mapping[str, str]) -> dict[str, Any]:
    try:
        values = read_document(file)
    except (DocumentError, OSError) as error:
        raise OptionError(f"{file} is not a configuration that can be read: {error}") from error
    if not isinstance(values, dict):
        raise OptionError(f"{file} must hold a JSON object of settings")
    for name, value in values.items():
        if name not in known:
            raise OptionError(f"{file}: there is no setting {name!r}; there are: {', '.join(known)}")
        values[name] = _typed(f"{file}: {name}", value, known[name])
    return values


def _typed(what: str, value: Any, kind: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise OptionError(f"{what} must be a list of strings, got {value!r}")
    wanted = {"int": number and isinstance(value, int), "floa": number, "str": isinstance(value, str)}
    for name, fits in wanted.items():
        if kind.startswith(name):
            if fits:
                return float(value) if name == "floa" else value
            break
    raise OptionError(f"{what} must be {kind.replace(' | None', '')}, got {value!r}")


def _parsed(name: str, text: str, kind: str) -> Any:
    if kind.startswith("tuple"):
        paths = name.endswith(("BUNDLES", "LANGUAGE_MODELS"))
        return tuple(part for part in text.split(os.pathsep if paths else ",") if part)
    try:
        return int(text) if kind.startswith("int") else float(text) if kind.startswith("float") else text
    except ValueError as error:
        raise OptionError(f"{name} must be a number, got {text!r}") from error
