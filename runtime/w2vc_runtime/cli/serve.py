"""``w2vc serve``: bundles behind HTTP."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
from pathlib import Path

from w2vc_runtime.errors import MissingExtraError
from w2vc_runtime.serving.settings import PREFIX, Settings, settings_from
from w2vc_runtime.sessions.select import NAMES

from .program import DONE

# What the extra brings, by the modules' names.
PACKAGES = {
    "fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client", "websockets": "websockets",
}  # fmt: skip


def add_serve_arguments(command: argparse.ArgumentParser) -> None:
    """Add the flags of the settings that are often set, and say which others there are; docs/serving.md has them."""
    names = ", ".join(each.name for each in dataclasses.fields(Settings))
    command.description = "Serve bundles over HTTP: a page, what OpenAI's clients speak, live audio, tensors."
    command.epilog = (
        f"Every setting can be in FILE, or in a variable of the environment, such as {PREFIX}API_KEY: {names}. "
        "docs/serving.md says what each does."
    )
    command.add_argument("bundles", nargs="*", metavar="BUNDLE", help="[NAME=]PATH[@PRECISION] of a bundle")
    command.add_argument("--config", type=Path, metavar="FILE", help="settings as a JSON object")
    command.add_argument("--repository", metavar="DIR", help="a folder whose bundles may be loaded at run time")
    command.add_argument("--host", help="address to listen at; default: 127.0.0.1, this machine alone")
    command.add_argument("--port", type=int, help="default: 8000")
    command.add_argument("--provider", choices=NAMES, help="what computes; default: auto")
    command.add_argument("--batch", type=int, metavar="N", help="clips computed together at most; default: 8")
    command.add_argument("--delay", type=float, metavar="S", help="seconds a clip waits for others; default: 0.01")
    command.add_argument("--queue", type=int, metavar="N", help="clips that wait at most; default: 64")
    command.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    for module, package in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("serving", package, "serve")
    from w2vc_runtime.serving.server import serve

    flags = {name: value for name, value in vars(arguments).items() if name not in ("command", "config", "bundles")}
    flags["bundles"] = tuple(arguments.bundles) or None
    settings = settings_from(arguments.config, os.environ, flags)
    serve(settings)
    return DONE
