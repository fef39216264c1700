"""The service as a process: the socket, the signals, and what HTTP itself does not let pass."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from w2vc_runtime.errors import OptionError, W2vcError

from .app import application
from .models import Models
from .settings import Settings

logger = logging.getLogger("w2vc.serve")
# Of a request line and headers together.
MOST_HEADERS = 64 << 10
HEADER_SECONDS = 15.0
LIVE_MESSAGE = 1 << 20
LINGER_SECONDS = 1.0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then take no more, and end what is under way within ``drain_time``.

    Raises `OptionError` where the address cannot be listened at, and what loading a bundle raises.
    """
    if not settings.bundles and settings.repository is None:
        raise OptionError("there is nothing to serve; name a bundle, or a folder of bundles with --repository")
    _log_to(sys.stderr)
    listening = _listen(settings)
    app, models = application(settings)
    config = uvicorn.Config(
        app, http=Protocol, ws="websockets-sansio", ws_max_size=LIVE_MESSAGE, lifespan="on",
        log_config=None, access_log=False, server_header=False, h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_graceful_shutdown=max(1, round(settings.drain_time)), timeout_keep_alive=15,
    )  # fmt: skip
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    _say("listening", url=f"http://{shown}:{port}/")
    if settings.is_open:
        _say("warning", message="any machine that reaches this one may use this service; set api_key")
    server = Server(config, models)
    server.run(sockets=[listening])
    if server.failed is not None:
        raise server.failed


class Server(uvicorn.Server):
    """uvicorn, which loads the bundles first. failed: what kept it from starting."""

    def __init__(self, config: uvicorn.Config, models: Models) -> None:
        super().__init__(config)
        self.models = models
        self.failed: W2vcError | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self.models.start()
        except W2vcError as error:
            self.failed = error
            return
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            _say("ready")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _say("draining")
        await super().shutdown(sockets)
        _say("ended")


class Protocol(H11Protocol):
    """HTTP/1.1, whose own refusals are JSON too, and whose headers must come in time."""

    _clock: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch(True)

    def connection_lost(self, error: Exception | None) -> None:
        self._watch(False)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        self._watch(self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0]))

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._watch(False)
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        held = len(self.conn.trailing_data[0] or b"")
        if held >= MOST_HEADERS:
            self._refuse(431, "Request Header Fields Too Large", "headers_too_large", "the headers are too large")
        else:
            self._refuse(400, "Bad Request", "invalid_request", "this is no HTTP request that can be read")

    def _watch(self, headers_are_coming: bool) -> None:
        if not headers_are_coming and self._clock is not None:
            self._clock.cancel()
            self._clock = None
        elif headers_are_coming and self._clock is None:
            self._clock = self.loop.call_later(HEADER_SECONDS, self._late)

    def _late(self) -> None:
        if not self.transport.is_closing():
            self._refuse(408, "Request Timeout", "header_timeout", "the request's headers did not arrive in time")

    def _refuse(self, status: int, phrase: str, code: str, message: str) -> None:
        """Answer past h11, whose state has no answer to what is no request; then take what is still sent, for a while.

        Who is sending when the connection closes does not read why.
        """
        self._refused = True
        self._watch(False)
        kind = "invalid_request_error"
        body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _listen(settings: Settings) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OptionError(f"cannot listen at {settings.host} port {settings.port}: {reason}") from error
    return listening


def _log_to(stream: Any) -> None:
    """Lines of JSON, one an event."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json())
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.WARNING
    logging.getLogger("w2vc").setLevel(logging.INFO)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # what it says, the response says
    logging.captureWarnings(True)


def _say(event: str, **values: str) -> None:
    logger.info(json.dumps({"event": event, **values}))


class _Json(logging.Formatter):
    """Messages that are JSON as they are, others in it; tracebacks too, on their one line."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        values = json.loads(message) if message.startswith('{"event"') else {"event": "log", "message": message}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        time = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        return json.dumps({"time": time, "level": record.levelname.lower(), **values}, ensure_ascii=False)
