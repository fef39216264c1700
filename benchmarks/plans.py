"""Build time, size and peak memory of TensorRT plans: one engine with three profiles, and three engines with one each.

    python benchmarks/plans.py [wav2vec2-conformer-rel-pos-large]

Without a name: the digits that the package carries. Published sizes have 24 layers and random weights, and are exported
first. Every plan is built in fp16 for sm89 by a process of its own, whose peak resident memory is shown; none is run.
Activations are the memory of the GPU that a plan needs beside its weights, by TensorRT's account.
The rows of the model are put into ``benchmarks/results/plans.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from full_size import make_checkpoint

from support.published import PUBLISHED
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.engines.profiles import default_profiles

RESULTS = Path(__file__).parent / "results" / "plans.json"
DIGITS = "digits"
LAYERS = 24
# In a small process: what a child has at most, as its parent sees it, starts with the parent's.
COMPILE = """
import json, resource, sys
from pathlib import Path
from w2vc_runtime.engines import EngineOptions, compile_bundle
compiled = compile_bundle(Path(sys.argv[1]), EngineOptions(("sm89",), tuple(sys.argv[2:])))
peak = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
row = {"seconds": round(compiled.seconds, 1), "bytes": compiled.engine.size, "peak_bytes": peak}
print(json.dumps(row | {"activation_bytes": compiled.engine.activation_bytes}))
"""


def export(name: str, folder: Path) -> Path:
    """A bundle in fp16."""
    bundle, source, head = folder / "bundle", name, "ctc"
    if name != DIGITS:
        source, head = str(folder / "checkpoint"), PUBLISHED[name][1]
        make_checkpoint(name, LAYERS, folder / "checkpoint")
    command = [sys.executable, "-m", "w2vc_exporter.cli", source, "--head", head, "--fp16", "-o", str(bundle)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return bundle


def build(bundle: Path, *profiles: str) -> dict[str, Any]:
    """Compile a bundle; its row."""
    command = [sys.executable, "-c", COMPILE, str(bundle), *profiles]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(name: str, bundle: Path) -> list[dict[str, Any]]:
    """One engine with the usual profiles, then one for each."""
    manifest = Bundle.read(bundle).manifest
    size = sum(manifest.files[file].size for file in manifest.graphs[0].files)
    profiles = [
        f"seconds={':'.join(map(str, each.seconds))},batch={':'.join(map(str, each.batch))}"
        for each in default_profiles(manifest.interface)
    ]
    rows = []
    for chosen in (profiles, *([profile] for profile in profiles)):
        load = round(os.getloadavg()[0], 1)
        rows.append({"model": name, "graph_bytes": size, "profiles": chosen, "load_before": load})
        rows[-1] |= build(bundle, *chosen)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    heads = ("model", "profiles up to", "build", "plan", "graph", "peak of the build", "activations", "load before")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        seconds = ", ".join(profile.partition(",")[0].rpartition(":")[2] for profile in row["profiles"])
        needs = row["activation_bytes"]
        lines.append(
            f"| {row['model']} | {seconds} s | {row['seconds']:.1f} s | {row['bytes'] / 1e6:.0f} MB "
            f"| {row['graph_bytes'] / 1e6:.0f} MB | {row['peak_bytes'] / 1e9:.2f} GB "
            f"| {'-' if needs is None else f'{needs / 1e9:.2f} GB'} | {row['load_before']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=(DIGITS, *PUBLISHED), default=DIGITS)
    name = parser.parse_args().model
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(name, export(name, Path(folder)))
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"rows": []}
    results |= {
        "tensorrt_rtx": version("tensorrt-rtx"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "rows": [row for row in results["rows"] if row["model"] != name] + rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
