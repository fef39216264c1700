"""What both command lines take of engines."""

from __future__ import annotations

import argparse


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--target``, ``--profile`` and ``--ep-context``: those fields of `EngineOptions`."""
    parser.add_argument(
        "--target",
        dest="targets",
        type=_names,
        default=(),
        metavar="GPUS",
        help="compute capabilities to compile for, such as sm89 or sm86,sm89; default: all from sm80 on",
    )
    parser.add_argument(
        "--profile",
        dest="profiles",
        action="append",
        default=[],
        metavar="SPEC",
        help="clips that the engine takes, as seconds=MIN:OPT:MAX,batch=MIN:OPT:MAX; may be given several times; "
        "default: up to 5, 15 and 30 seconds",
    )
    parser.add_argument(
        "--ep-context",
        action="store_true",
        help="also write an ONNX file that wraps the engine for ONNX Runtime; the engine then has one profile",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(","))
