"""``w2vc bench``: how fast a bundle is here, and what to take."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from w2vc_runtime.bench.page import AIMS, render, setting
from w2vc_runtime.bench.sweep import Sweep, SweepOptions
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.errors import OptionError
from w2vc_runtime.sessions.select import PROVIDERS

from .program import DONE, JSON, PROGRAM, complain, say
from .progress import Progress


def add_bench_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `SweepOptions`, and what is made of the measurements."""
    default = SweepOptions()
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    _add(command, "--seconds", float, "S", f"of a clip; default: {', '.join(f'{each:g}' for each in default.seconds)}")
    _add(command, "--batch", int, "N", f"clips computed together; default: {', '.join(map(str, default.batches))}")
    _add(command, "--threads", int, "N", "default: 1, and as many as there are cores")
    _add(command, "--provider", str, "NAME", f"of {', '.join(PROVIDERS)}; default: all that run here")
    _add(command, "--precision", str, "P", "which graphs of the bundle; default: all")
    command.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a page with plots, as FILE.html")
    command.set_defaults(command=_bench)


def _add(command: argparse.ArgumentParser, name: str, kind: type, metavar: str, text: str) -> None:
    command.add_argument(name, type=kind, nargs="+", metavar=metavar, help=text)


def _bench(arguments: argparse.Namespace) -> int:
    given = {
        "seconds": arguments.seconds,
        "batches": arguments.batch,
        "threads": arguments.threads,
        "providers": arguments.provider,
        "precisions": arguments.precision,
    }
    options = SweepOptions(**{name: tuple(dict.fromkeys(value)) for name, value in given.items() if value})
    return bench(arguments.bundle, options, arguments.json, arguments.output)


def bench(path: Path, options: SweepOptions, as_json: bool = False, page: Path | None = None) -> int:
    """Measure a bundle; print a table, or JSON, and write the page."""
    if page is not None:
        _check_page(page)
    sweep = Sweep(Bundle.read(path), options)
    result = sweep.run(Progress(sweep.steps).step)
    if page is not None:
        partial = page.with_name(f".{page.name}.partial")
        try:
            partial.write_text(render(result), encoding="utf-8")
            os.replace(partial, page)
        finally:
            partial.unlink(missing_ok=True)
    say(f"{json.dumps(result, indent=2)}\n" if as_json else _text(result), JSON)
    if result["warning"]:
        complain(PROGRAM, result["warning"])
    return DONE


def _check_page(page: Path) -> None:
    """Before minutes of measuring are lost."""
    if page.suffix not in (".html", ".htm"):
        raise OptionError(f"--output is a page; expected a name that ends in .html, got {page}")
    if page.is_dir() or not page.parent.is_dir():
        raise OptionError(f"--output {page} cannot be written; expected a file in a directory that exists")


def _text(result: Mapping[str, Any]) -> str:
    rows = [["setting", "audio", "time", "real time", "spread", "peak memory"]]
    for row in result["rows"]:
        if row["note"] is not None:
            rows.append([setting(row), f"{row['seconds']:g} s", row["note"], "", "", ""])
            continue
        peak = "-" if row["peak_megabytes"] is None else f"{row['peak_megabytes']} MB"
        times = [f"{row['milliseconds']:g} ms", f"{row['times_real_time']:g}x", f"{100 * row['spread']:.1f} %"]
        rows.append([setting(row), f"{row['seconds']:g} s", *times, peak])
    lines = _columns(rows)
    for aim, each in result["recommended"].items():
        lines.append(f"{AIMS[aim].lower()}: {setting(each)}: {each['reason']}")
    return "".join(f"{line}\n" for line in lines)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows whose columns are as wide as what is in them; a note, which has no columns after it, counts for nothing."""
    widths = [max(len(row[index]) for row in rows if row[index + 1 :] != [""] * 3) for index in range(5)]
    return ["  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths)), row[-1]]).rstrip() for row in rows]
