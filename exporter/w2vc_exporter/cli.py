"""The command ``w2vc-export``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2vc_runtime.command import DONE, REJECTED, Parser, complain, guarded

from .api import export
from .errors import RejectedError
from .options import ALL, HEADS, PADDINGS, PRECISIONS, ExportOptions

if TYPE_CHECKING:
    from .pipeline import ExportResult

PROGRAM = "w2vc-export"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return guarded(PROGRAM, lambda: run(parse_args(argv)))


def run(options: ExportOptions) -> int:
    """Export and print the summary."""
    try:
        result = export(options)
    except RejectedError as error:
        complain(PROGRAM, error)
        return REJECTED
    print(summary(result))
    return DONE


def parse_args(argv: Sequence[str] | None = None) -> ExportOptions:
    """Flags to options."""
    parser = Parser(
        prog=PROGRAM,
        description="Export a Wav2Vec2-family checkpoint to ONNX and prove that the graph equals PyTorch's.",
    )
    parser.add_argument(
        "checkpoint",
        nargs="?",
        type=Path,
        help="Hugging Face directory or hub id; without it, a small one that the package carries",
    )
    parser.add_argument("--head", required=True, choices=HEADS, metavar="HEAD", help=", ".join(HEADS))
    parser.add_version()
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--precision", choices=PRECISIONS, default="fp32", help="default: fp32")
    precision.add_argument(
        "--fp16", dest="precision", action="store_const", const="fp16", help="short for --precision fp16"
    )
    parser.add_argument(
        "--hidden-states", type=_layers, default=(), metavar="LAYERS",
        help="head base: hidden states to give besides the last, such as 0,6,12 or all",
    )  # fmt: skip
    parser.add_argument("--target-lang", metavar="LANG", help="language adapter to export with, such as fra")
    parser.add_argument(
        "--padding", choices=PADDINGS, default=PADDINGS[0],
        help="what a padded batch computes: each clip as if alone (default), or what Hugging Face computes",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: named after the checkpoint, head and precision"
    )
    return ExportOptions(**vars(parser.parse_args(argv)))


def _layers(text: str) -> tuple[int, ...] | str:
    if text == ALL:
        return ALL
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {ALL!r} and not numbers of layers such as 0,6,12") from error


def summary(result: ExportResult) -> str:
    """The table that ends an export."""
    manifest, verdict = result.manifest, result.verdict
    graph = manifest.graphs[0]
    size = sum(manifest.files[name].size for name in graph.files)
    kept = sum(graph.kept_fp32.values())
    rows = {
        "bundle": result.bundle,
        "model": f"{manifest.family}, {manifest.position} positions, head {manifest.head}",
        "checkpoint": f"{result.checkpoint_bytes / 1e6:.1f} MB",
        "graph": f"{size / 1e6:.1f} MB, {graph.precision}" + (f", {kept} nodes kept in fp32" if kept else ""),
        "padding": manifest.padding,
        "outputs": ", ".join(f"{output.name} [{', '.join(map(str, output.shape))}]" for output in manifest.outputs),
        "worst difference": f"{verdict.difference:.1e} of the largest value (allowed {verdict.budget.difference:.0e})",
        "verified": f"{len(verdict.rows)} cases"
        + ("" if verdict.same is None else f", {verdict.same:.2%} of the choices the same"),
        "time": f"{result.seconds:.1f} s",
    }
    width = max(map(len, rows)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in rows.items())


if __name__ == "__main__":
    sys.exit(main())
