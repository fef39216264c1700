"""``w2vc info``: what is in a bundle, and what would run it here."""

from __future__ import annotations

import argparse
from pathlib import Path

from w2vc_runtime.bundle import Bundle, Frames, Graph, Tensor
from w2vc_runtime.sessions.select import survey

from .program import DONE, JSON, escaped, say

LABELS_SHOWN = 12


def add_info_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `info`, and the command itself."""
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("--json", action="store_true", help="print the manifest")
    command.set_defaults(command=lambda arguments: info(arguments.bundle, arguments.json))


def info(bundle: Path, as_json: bool) -> int:
    """Print what is in a bundle."""
    read = Bundle.read(bundle)
    manifest = read.manifest
    if as_json:
        say(manifest.to_json(), JSON)
        return DONE
    files = [manifest.files, *(engine.files for engine in manifest.engines)]
    sizes = [entry.size for each in files for entry in each.values()]
    rate = manifest.features.sampling_rate
    rows = {
        "name": manifest.name,
        "model": f"{manifest.family}, {manifest.position} positions, head {manifest.head}",
        "graphs": ", ".join(map(_graph, manifest.graphs)),
        "size": f"{sum(sizes) / 1e6:.1f} MB in {len(sizes)} files",
        "input": f"{rate} Hz mono, at least {1000 * manifest.shortest / rate:g} ms",
        "features": f"{manifest.features.kind} ({manifest.features.extractor})",
        "outputs": ", ".join(_shape(tensor) for tensor in manifest.outputs),
        "frames": ", ".join(_pace(name, frames, rate) for name, frames in manifest.frames.items()),
        "padding": manifest.padding,
        "source": f"{manifest.source.name} ({manifest.source.sha256[:12]})",
        "created": manifest.created,
    }
    for precision, verdict in manifest.verification.items():
        rows[f"{precision} verified"] = verdict.summary
    if manifest.engines:
        rows["engines"] = "; ".join(f"{engine.file} ({engine.summary})" for engine in manifest.engines)
    if manifest.ctc is not None:
        rows["vocabulary"] = f"{len(manifest.ctc.vocabulary)} tokens"
    if manifest.labels is not None:
        names = manifest.labels.names
        shown = ", ".join(names[:LABELS_SHOWN]) + (" ..." if len(names) > LABELS_SHOWN else "")
        rows["labels"] = f"{len(names)} ({shown}), {manifest.labels.problem_type.replace('_', ' ')}"
    rows |= _providers(read)
    width = max(map(len, rows)) + 2
    say("".join(f"{name:<{width}}{escaped(value)}\n" for name, value in rows.items()))
    return DONE


def _providers(bundle: Bundle) -> dict[str, str]:
    """What ``auto`` would take for the first graph here, and why not the others."""
    found = survey(bundle, bundle.graph())
    usable = [name for name, problem in found.items() if problem is None]
    rows = {"auto provider": usable[0] if usable else "none works here"}
    for name, problem in found.items():
        if name not in usable[:1]:
            rows[f"not {name}"] = str(problem or f"it would work; {usable[0]} comes first")
    return rows


def _graph(graph: Graph) -> str:
    written_for = f", for {graph.provider}" if graph.provider else ""
    return f"{graph.precision} ({graph.files[0]}, opset {graph.opset}{written_for})"


def _shape(tensor: Tensor) -> str:
    return f"{tensor.name} [{', '.join(map(str, tensor.shape))}]"


def _pace(axis: str, frames: Frames, rate: int) -> str:
    return f"{axis.replace('_', ' ')} every {1000 * frames.step / rate:g} ms"
