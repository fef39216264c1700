"""Every peer beside ours in one run: the same weights and audio, right before fast, on threads of their own.

    python benchmarks/compare.py [--model conformer-rel-pos-large] [--layers 6] [--seconds 10] [--batch 1]
        [--threads 2] [--peer openvino --peer 'ours/cpu int8'] [--rounds 7] [--output FILE] [--prepare]
    python benchmarks/compare.py --show FILE...

A checkpoint has random weights that keep the scale of what they are multiplied with, as trained ones do. Each peer
makes its model in an environment of its own (``peers/NAME.txt``), and each engine runs in a process of its own. What is
timed is the graph, from features to logits; of ours with a batch, `Model.batch`, features and text included, beside
clips one at a time. An engine whose logits differ too much from PyTorch's for the clips alone is not timed. What cannot
be installed, fails, hangs or is wrong says so in its place. ``--prepare`` makes what is missing, and times nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers import table
from peers.models import MODELS, Cell, Subject, made
from peers.processes import available
from peers.registry import HERE, PEERS, chosen
from peers.rounds import Rounds

RESULT = Path("build") / "peers" / "compare.json"
VERSIONS = ("torch", "transformers", "onnxruntime", "openvino", "numpy")
# A checkpoint is built in memory, and saved from there.
BUILDING = 6 << 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", choices=MODELS, action="append", help="default: conformer-rel-pos-large")
    add("--layers", type=int, action="append", help="default: 6")
    add("--seconds", type=float, action="append", help="of a clip, 1 to 30; default: 10")
    add("--batch", type=int, action="append", help="clips, of mixed lengths where it is more than 1; default: 1")
    add("--threads", type=int, action="append", help="default: as many as there are cores")
    add("--peer", action="append", metavar="PEER[/VARIANT]", help=f"of {', '.join(PEERS)}; default: all")
    add("--rounds", type=int, default=7, help="default: %(default)s")
    add("--rest", type=float, default=0.3, help="seconds before each run; default: %(default)s")
    add("--limit", type=float, default=600, help="seconds that one step of a peer may take; default: %(default)s")
    add("--output", type=Path, default=RESULT, help="default: %(default)s")
    add("--prepare", action="store_true", help="make models, and time nothing")
    add("--show", type=Path, nargs="+", metavar="FILE", help="print the tables of earlier runs")
    options = parser.parse_args()
    if options.show:
        print("\n\n".join(table.tables(json.loads(path.read_text())) for path in options.show))
        return 0
    cores = sorted(os.sched_getaffinity(0))
    options.threads = options.threads or [len(cores)]
    if problem := wrong(options, cores):
        parser.error(problem)
    engines = chosen(options.peer or list(PEERS))
    cells = [Cell(seconds, 1) for seconds in options.seconds or [10.0] if 1 in (options.batch or [1])]
    cells += [Cell(0.0, batch) for batch in options.batch or [] if batch > 1]
    result = head(options.threads, cores) if not options.prepare else {"models": [], "cells": []}
    for name in options.model or ["conformer-rel-pos-large"]:
        for layers in options.layers or [6]:
            subject = Subject(name, layers)
            compare(subject, engines, cells, cores, options, result)
    if not options.prepare:
        print(table.tables(result))
        say(f"written to {options.output}")
    return 0


def wrong(options: argparse.Namespace, cores: list[int]) -> str | None:
    """What of the options cannot be, before anything is made."""
    try:
        chosen(options.peer or [])
    except ValueError as error:
        return f"--peer: {error}"
    for name, values, least, most in (
        ("layers", options.layers, 1, 48),
        ("seconds", options.seconds, 1, 30),
        ("batch", options.batch, 1, 8),
        ("threads", options.threads, 1, len(cores)),
        ("rounds", [options.rounds], 3, 1000),
    ):
        for value in values or []:
            if not least <= value <= most:
                return f"--{name} must be {least} to {most}, got {value:g}"
    return None


def head(threads: list[int], cores: list[int]) -> dict[str, Any]:
    """The machine, and what it can do at most."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    floors = {}
    for count in threads:
        say(f"the machine's limit with {count} threads")
        command = [sys.executable, str(HERE / "floor.py"), *map(str, cores[:count])]
        environment = {**os.environ, "OMP_NUM_THREADS": str(count)}
        floors[str(count)] = json.loads(subprocess.run(command, check=True, stdout=-1, env=environment).stdout)
    return {
        "device": {
            "processor": next(line.partition(": ")[2] for line in info if line.startswith("model name")),
            "cores": os.cpu_count(),
            "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
        "command": shlex.join(["python", "benchmarks/compare.py", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
        "floor": floors,
        "models": [],
        "cells": [],
    }


def compare(
    subject: Subject,
    engines: list[tuple[str, str]],
    cells: list[Cell],
    cores: list[int],
    options: argparse.Namespace,
    result: dict[str, Any],
) -> None:
    """Make the models of one checkpoint; then time each cell on each number of threads."""
    if available() < BUILDING:
        raise SystemExit(
            f"compare.py: building a checkpoint takes {BUILDING / 1e9:.0f} GB, and {available() / 1e9:.1f} GB are free"
        )
    say(f"{subject.model}, {subject.layers} layers: checkpoint")
    weights = subject.prepare()
    entry: dict[str, Any] = {"model": subject.model, "layers": subject.layers, "weights": weights, "made": {}}
    result["models"].append(entry)
    job = {"checkpoint": str(subject.checkpoint), "target": "", "cores": cores, "given": {"threads": len(cores)}}
    for peer, variant in needed(engines):
        key = f"{peer}, {variant}"
        say(f"{subject.model}, {subject.layers} layers: {key}")
        try:
            entry["made"][key] = made(subject, peer, variant, cells, job, options.limit)
        except (OSError, subprocess.CalledProcessError) as error:
            entry["made"][key] = {"problem": f"not installed: {error}"[:200]}
        if "problem" in entry["made"][key]:
            say(f"  {entry['made'][key]['problem']}")
    references = {cell: subject.reference(cell, job, options.limit) for cell in cells}
    if options.prepare:
        return
    for threads in options.threads:
        pinned = {**job, "cores": cores[:threads], "given": {"threads": threads}}
        rounds = Rounds(subject, weights, orders(subject, engines, pinned, entry), options.limit, options.rest)
        try:
            for cell in cells:
                rows = rounds.run(cell, references[cell], options.rounds, say)
                lost = [each for each in engines if model_of(*each, entry) is None]
                failed = [failure(engine, entry) for engine in lost]
                for row in rows:
                    row["made"] = made_key(row["peer"], row["variant"])
                result["cells"].append(
                    {
                        "model": subject.model,
                        "layers": subject.layers,
                        "cell": cell.name,
                        "lengths": cell.lengths,
                        "threads": threads,
                        "operations": subject.operations(cell),
                        "bytes": subject.traffic(cell, weights),
                        "rows": rows + failed,
                    }
                )
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps(result, indent=1) + "\n")
        finally:
            rounds.close()


def needed(engines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Peer and model of what must be made, exports that others are given first."""
    from peers.registry import GIVEN

    wanted = [(peer, PEERS[peer].variants[variant].model) for peer, variant in engines]
    first = [GIVEN[peer] for peer, model in wanted if peer in GIVEN]
    return [each for each in dict.fromkeys([*first, *wanted]) if each[1]]


def made_key(peer: str, variant: str) -> str:
    model = PEERS[peer].variants[variant].model
    return f"{peer}, {model}" if model else ""


def model_of(peer: str, variant: str, entry: dict[str, Any]) -> str | None:
    """The directory's name of an engine's model, empty where it runs the checkpoint; None where it was not made."""
    key = made_key(peer, variant)
    return None if key and "problem" in entry["made"][key] else key


def failure(engine: tuple[str, str], entry: dict[str, Any]) -> dict[str, Any]:
    peer, variant = engine
    problem = entry["made"][made_key(peer, variant)]["problem"]
    return {"peer": peer, "variant": variant, "precision": PEERS[peer].variants[variant].precision, "problem": problem}


def orders(
    subject: Subject, engines: list[tuple[str, str]], job: dict[str, Any], entry: dict[str, Any]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What the process of each engine is told."""
    result = {}
    for peer, name in engines:
        model = model_of(peer, name, entry)
        if model is not None:
            variant = PEERS[peer].variants[name]
            settings = {"precision": variant.precision, **dict(variant.settings)}
            target = str(subject.folder / model) if model else ""
            result[peer, name] = {**job, "file": str(HERE / PEERS[peer].file), "target": target, "settings": settings}
    return result


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
