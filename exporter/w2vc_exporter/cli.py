"""The command ``w2vc-export``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2vc_runtime.cli.engine_arguments import add_engine_arguments
from w2vc_runtime.cli.program import DONE, REJECTED, Parser, complain, guarded, say

from .api import export
from .certificate.report import PAGE
from .errors import RejectedError
from .options import ALL, HEADS, PADDINGS, PRECISIONS, ExportOptions
from .precision.forms import FORMS

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
    say(f"{summary(result, chosen=options.head is None)}\n")
    for note in result.notes:
        complain(PROGRAM, f"note: {note}")
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
    parser.add_argument(
        "--head", choices=HEADS, metavar="HEAD",
        help=f"{', '.join(HEADS)}; by default the one that config.json names in architectures",
    )  # fmt: skip
    parser.add_version()
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        "--precision", default="fp32", metavar="P", help=f"one or several of {', '.join(PRECISIONS)}, such as fp32,fp16"
    )
    parser.add_argument(
        "--provider",
        choices=list(filter(None, FORMS)),
        help="what will run it; by default a form that is good everywhere, and int8 for ONNX Runtime on CPUs",
    )
    for name in PRECISIONS[1:]:
        precision.add_argument(
            f"--{name}", dest="precision", action="store_const", const=name, help=f"short for --precision {name}"
        )
    parser.add_argument(
        "--budget", metavar="B", help="what the precision may cost, such as tokens=99.9%%,wer=+0.2,difference=1e-3"
    )
    parser.add_argument(
        "--audio", type=Path, metavar="DIR",
        help="recordings to judge on beside noise; for word error rates with transcripts, as NAME.txt beside NAME.wav "
        "or in metadata.csv",
    )  # fmt: skip
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="DIR",
        help="recordings to measure the ranges of int8 on; transcripts are passed over",
    )
    parser.add_argument(
        "--lm", type=Path, metavar="FILE",
        help="language model to put into the bundle: ARPA, or a directory as Hugging Face has it; needs w2vc-native",
    )  # fmt: skip
    parser.add_argument(
        "--hidden-states", type=_layers, default=(), metavar="LAYERS",
        help="head base: hidden states to give besides the last, such as 0,6,12 or all",
    )  # fmt: skip
    parser.add_argument("--target-lang", metavar="LANG", help="language adapter to export with, such as fra")
    parser.add_argument(
        "--padding", choices=PADDINGS, default=PADDINGS[0],
        help="what a padded batch computes: each clip as if alone (default), or what Hugging Face computes",
    )  # fmt: skip
    parser.add_argument("--tensorrt", action="store_true", help="compile TensorRT engines too; needs no GPU")
    add_engine_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: named after the checkpoint, head and precision"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace an earlier bundle there, once the new one is proven; nothing else"
    )
    values = vars(parser.parse_args(argv))
    return ExportOptions(**{**values, "profiles": tuple(values["profiles"])})


def _layers(text: str) -> tuple[int, ...] | str:
    if text == ALL:
        return ALL
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {ALL!r} and not numbers of layers such as 0,6,12") from error


def summary(result: ExportResult, chosen: bool = False) -> str:
    """The table that ends an export. chosen: whether the head is the checkpoint's, for want of another."""
    manifest = result.manifest
    measured = result.report["measured"]
    rows = [
        ("bundle", str(result.bundle)),
        ("model", f"{manifest.family}, {manifest.position} positions, head {manifest.head}"),
        *([("head", f"{manifest.head}, which config.json names; --head takes another")] if chosen else []),
        ("checkpoint", f"{result.checkpoint_bytes / 1e6:.1f} MB"),
        ("padding", manifest.padding),
        ("outputs", ", ".join(f"{output.name} [{', '.join(map(str, output.shape))}]" for output in manifest.outputs)),
    ]
    for graph in manifest.graphs:
        size = sum(manifest.files[name].size for name in graph.files)
        kept = sum(graph.kept_fp32.values())
        precision = graph.precision
        rows.append((precision, f"{size / 1e6:.1f} MB" + (f", {kept} nodes kept in fp32" if kept else "")))
        rows.append((f"{precision} verified", result.verdicts[precision].summary))
        for each in graph.kept:
            rows.append((f"{precision} kept", f"{len(each.nodes)} more nodes in fp32: {each.reason}"))
        rows.append((f"{precision} latency", _latency(measured["precisions"][precision])))
    rows += [("engine", f"{engine.summary}; compiled, and not run") for engine in manifest.engines]
    rows += [("slower", sentence) for sentence in measured["slower"]]
    rows.append(("report", str(result.bundle / PAGE)))
    rows.append(("time", f"{result.seconds:.1f} s"))
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in rows)


def _latency(measured: Mapping[str, Any]) -> str:
    times = [f"{row['milliseconds']:g} ms for {row['seconds']:g} s" for row in measured["lengths"]]
    where = [f"provider {measured['provider']}"] if times else []
    return ", ".join([*times, *where, *([measured["note"]] if measured["note"] else [])])


if __name__ == "__main__":
    sys.exit(main())
