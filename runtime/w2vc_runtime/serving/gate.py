"""What every request passes: the key, the bounds, the log and the figures. Plain ASGI, so that bodies are not held."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics
from .problems import Problem, problem_of, response_of
from .settings import Settings

logger = logging.getLogger("w2vc.serve")
# What is said to anybody: whether the service is there, and the page, which asks for the key.
OPEN = ("/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
# What is posted where.
TYPES = {"/v1/": "multipart/form-data", "/v2/models/": "application/json"}
LINGER_SECONDS, LINGER_BYTES = 1.0, 16 << 20
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; media-src blob:; " \
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"  # fmt: skip


class Gate:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        identity = uuid.uuid4().hex[:16]
        body = _Body(receive, scope, self._settings)
        status, whole = 0, False

        async def noted(message: Message) -> None:
            nonlocal status, whole
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = {"x-request-id": identity, "x-content-type-options": "nosniff"}
                if scope["path"] == "/":
                    extra["content-security-policy"] = POLICY
                if not body.whole:
                    extra["connection"] = "close"  # what is still on its way is no next request
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
            await send(message)

        async def unless_refused(message: Message) -> None:
            # The application takes a body that was cut off for one that is wrong; the truth is said further down.
            if body.refused is None or status:
                await noted(message)

        self._at_work += 1
        self._metrics.in_flight.inc()
        try:
            error: Exception | None = None
            try:
                self._admit(scope)
                await self._app(scope, body, unless_refused)
            except Exception as raised:
                error = raised
            error = body.refused or error
            if whole:
                return  # a bug, too, was answered
            if error is not None and status:
                problem_of(error)  # which logs a bug; the response has begun, and breaks off
                raise error
            if error is not None:
                response = response_of(error, scope["path"])
                await body.discard()
                await response(scope, receive, noted)
        finally:
            self._at_work -= 1
            self._metrics.in_flight.dec()
            self._note(scope, identity, status or 499, time.perf_counter() - begin)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        self._at_work += 1
        try:
            self._admit(scope)
        except Problem as problem:
            await receive()
            await send({"type": "websocket.accept"})
            shown = json.dumps({"type": "error", "error": {"message": problem.message, "code": problem.code}})
            await send({"type": "websocket.send", "text": shown})
            await send({"type": "websocket.close", "code": 1013 if problem.status == 503 else 1008})
        else:
            await self._app(scope, receive, send)
        finally:
            self._at_work -= 1
            self._note(scope, uuid.uuid4().hex[:16], 101, time.perf_counter() - begin)

    def _admit(self, scope: Scope) -> None:
        """Raise a `Problem` on who has no key, on one request too many, and on a body that says it is too large."""
        headers = dict(scope["headers"])
        if scope["path"] not in OPEN:
            self._expect_key(scope, headers)
            if self._at_work > self._settings.requests:
                raise Problem(503, "busy", f"{self._settings.requests} requests are at work already; try again later")
        self._expect_type(scope, headers.get(b"content-type", b"").lower())
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.upload:
            raise _too_large(self._settings)

    def _expect_key(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if self._settings.api_key is None:
            return
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if scope["type"] == "websocket" and not given:
            # Browsers send no headers of their own with a WebSocket, but protocols: "w2vc, key.KEY".
            protocols = headers.get(b"sec-websocket-protocol", b"").split(b",")
            given = next((each.strip()[4:] for each in protocols if each.strip().startswith(b"key.")), b"")
        if not hmac.compare_digest(given, self._settings.api_key.encode()):
            raise Problem(401, "invalid_api_key", "this service needs its API key, as 'Authorization: Bearer KEY'")

    def _expect_type(self, scope: Scope, given: bytes) -> None:
        if scope.get("method") == "POST":
            for prefix, wanted in TYPES.items():
                if scope["path"].startswith(prefix) and not given.startswith(wanted.encode()):
                    raise Problem(415, "unsupported_content_type", f"the content type must be {wanted}")

    def _note(self, scope: Scope, identity: str, status: int, seconds: float) -> None:
        """One line of JSON a request: no audio, no text, no query, no address."""
        route = scope.get("route")
        path = getattr(route, "path", "other" if scope["path"] not in OPEN else scope["path"])
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        line: dict[str, Any] = {
            "event": "request", "id": identity, "method": scope.get("method", "WEBSOCKET"), "route": path,
            "status": status, "seconds": round(seconds, 4),
        }  # fmt: skip
        logger.info(json.dumps(line))


class _Body:
    """The body of a request, within its size and time. What it refuses, it keeps: see `Gate`."""

    def __init__(self, receive: Receive, scope: Scope, settings: Settings) -> None:
        self.refused: Problem | None = None
        names = {name for name, _ in scope["headers"]}
        self.whole = not names & {b"content-length", b"transfer-encoding"}
        self._receive = receive
        self._settings = settings
        self._ends = time.monotonic() + settings.upload_time
        self._size = 0

    async def __call__(self) -> Message:
        if self.whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._ends - time.monotonic()))
        except asyncio.TimeoutError as error:
            shown = f"the body did not arrive within {self._settings.upload_time:g} s"
            self.refused = Problem(408, "upload_timeout", shown)
            raise self.refused from error
        self._take(message)
        if self._size > self._settings.upload:
            self.refused = _too_large(self._settings)
            raise self.refused
        return message

    async def discard(self) -> None:
        """Take a little more of what is still sent: who is sending does not read why it is refused."""
        ends, most = time.monotonic() + LINGER_SECONDS, self._size + LINGER_BYTES
        while not self.whole and self._size < most:
            try:
                message = await asyncio.wait_for(self._receive(), max(0.0, ends - time.monotonic()))
            except asyncio.TimeoutError:
                return
            if message["type"] != "http.request":
                return
            self._take(message)

    def _take(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)


def _too_large(settings: Settings) -> Problem:
    return Problem(413, "body_too_large", f"the body is larger than {settings.upload} bytes")
