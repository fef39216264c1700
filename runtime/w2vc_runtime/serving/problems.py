"""What a service refuses or fails at: a status and one JSON error each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from w2vc_runtime.batching.asynchronous import ClosedBatcherError, DeadlineError, QueueFullError
from w2vc_runtime.errors import (
    AudioError,
    BundleError,
    InferenceError,
    MissingExtraError,
    NotAudioError,
    OptionError,
    TooLongError,
)

logger = logging.getLogger("w2vc.serve")
RETRY_SECONDS = 1


class Problem(Exception):
    """A status, a code for programs and a message for people, which holds nothing of the audio or the text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


# From the most particular to the least.
STATUSES: tuple[tuple[type[Exception], int, str], ...] = (
    (NotAudioError, 415, "unsupported_audio"),
    (TooLongError, 413, "audio_too_long"),
    (AudioError, 422, "invalid_audio"),
    (OptionError, 422, "invalid_value"),
    (BundleError, 422, "invalid_bundle"),
    (QueueFullError, 429, "queue_full"),
    (DeadlineError, 503, "answer_timeout"),
    (ClosedBatcherError, 503, "unloading"),
    (MissingExtraError, 501, "missing_extra"),
    (InferenceError, 500, "inference_failed"),
)


def problem_of(error: Exception) -> Problem:
    """What an exception is to a client; the details of a bug are for the log."""
    if isinstance(error, Problem):
        return error
    for kind, status, code in STATUSES:
        if isinstance(error, kind):
            return Problem(status, code, str(error))
    logger.error("bug", exc_info=error)
    return Problem(500, "internal_error", "the service failed at this request; its log says more")


def body_of(problem: Problem, path: str = "") -> dict[str, Any]:
    """The JSON of a problem: as the Open Inference Protocol has it under ``/v2``, else as OpenAI's clients read it."""
    if path.startswith("/v2"):
        return {"error": problem.message, "code": problem.code}
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    return {"error": {"message": problem.message, "type": kind, "param": None, "code": problem.code}}


def response_of(error: Exception, path: str = "") -> Response:
    """The response to a problem."""
    problem = problem_of(error)
    headers = {}
    if problem.status in (429, 503):
        headers["Retry-After"] = str(RETRY_SECONDS)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body_of(problem, path), problem.status, headers)


def handlers() -> dict[Any, Callable[[Request, Exception], Any]]:
    """For FastAPI: exceptions of its own, and of ours, become one JSON error."""

    async def ours(request: Request, error: Exception) -> Response:
        return response_of(error, request.url.path)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        codes = {404: "not_found", 405: "method_not_allowed"}
        problem = Problem(error.status_code, codes.get(error.status_code, "invalid_request"), str(error.detail))
        return response_of(problem, request.url.path)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
        return response_of(Problem(422, "invalid_value", f"{where}: {first['msg']}"), request.url.path)

    return {
        HTTPException: http,
        RequestValidationError: invalid,
        Problem: ours,
        **{kind: ours for kind, _, _ in STATUSES},
        Exception: ours,
    }
