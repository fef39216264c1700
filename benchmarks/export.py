"""Time and peak memory of exports, beside ``optimum-cli export onnx`` of the same checkpoints.

    python benchmarks/export.py [--model conformer] [--layers 4] [--layers 24] [--runs 3]

Checkpoints have random weights at width 1,024. Each run is a process of its own, ours and the peer's in turn: ours with
its gate and certificate, the peer's with the validation that it does by itself. The peer cannot export Wav2Vec2-BERT;
its time for Wav2Vec2 of as many layers stands in for that. Rows go into ``benchmarks/results/export.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from full_size import EXPORT, make_checkpoint
from peers import environment

RESULTS = Path(__file__).parent / "results" / "export.json"
MODELS = {
    "conformer": "wav2vec2-conformer-rel-pos-large",
    "wav2vec2": "wav2vec2-large-960h-lv60-self",
    "bert": "w2v-bert-2.0",
}
HEADS = {"conformer": "ctc", "wav2vec2": "ctc", "bert": "base"}
# Whose time stands in for what the peer cannot export.
STAND_INS = {"bert": "wav2vec2"}
PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(code, 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def timed(command: list[str]) -> tuple[float, int]:
    """Seconds and peak resident bytes of a command."""
    start = time.perf_counter()
    shown = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - start
    code, peak = map(int, shown.split())
    if code:
        sys.exit(f"{' '.join(command)} failed with {code}")
    return seconds, peak


def measure(model: str, layers: int, runs: int, folder: Path) -> dict[str, Any]:
    """One row: ours and the peer's, in turn."""
    stand_in = STAND_INS.get(model, model)
    checkpoints = {name: folder / f"{name}-{layers}" for name in (model, stand_in)}
    for name, checkpoint in checkpoints.items():
        if not checkpoint.is_dir():
            make_checkpoint(MODELS[name], layers, checkpoint)
    output = folder / "output"
    ours = [sys.executable, "-c", EXPORT, str(checkpoints[model]), "--head", HEADS[model]]
    peer = [str(environment("optimum") / "optimum-cli"), "export", "onnx", "--task", "automatic-speech-recognition"]
    results: dict[str, list[tuple[float, int]]] = {"ours": [], "optimum": []}
    for _ in range(runs):
        shutil.rmtree(output, ignore_errors=True)
        results["ours"].append(timed([*ours, "-o", str(output)]))
        shutil.rmtree(output, ignore_errors=True)
        results["optimum"].append(timed([*peer, "--model", str(checkpoints[stand_in]), str(output)]))
    shutil.rmtree(output, ignore_errors=True)
    seconds = {name: statistics.median(each for each, _ in rows) for name, rows in results.items()}
    peaks = {name: max(each for _, each in rows) for name, rows in results.items()}
    return {
        "model": model,
        "layers": layers,
        "peer": f"optimum, {stand_in}",
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "ratio": round(seconds["ours"] / seconds["optimum"], 2),
        "peak_bytes": peaks,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append", help="default: all")
    parser.add_argument("--layers", type=int, action="append", help="default: 4 and 24")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        for layers in options.layers or (4, 24):
            for model in options.model or MODELS:
                row = measure(model, layers, options.runs, Path(folder))
                print(json.dumps(row))
                rows = [each for each in rows if (each["model"], each["layers"]) != (model, layers)] + [row]
                RESULTS.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
