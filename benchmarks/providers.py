"""Provider ``openvino`` against provider ``cpu`` (ONNX Runtime), both as a user gets them, on all cores.

The fp32 bundles have random weights and the width of published checkpoints, with fewer layers. Timed in turn; a ratio
is of the medians of one repeat.

    python benchmarks/providers.py [--layers 4] [--seconds 10] [--rounds 9] [--repeats 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from w2vc_exporter import ExportOptions, export
from w2vc_runtime.session import open_session

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracle import build, clips, save
from published import PUBLISHED

NAMES = ("wav2vec2-conformer-rel-pos-large", "wav2vec2-conformer-rope-large-960h-ft", "w2v-bert-2.0")
PROVIDERS = ("cpu", "openvino")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 4), ("seconds", 10), ("rounds", 9), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "openvino"))
    print(f"{versions}, {len(os.sched_getaffinity(0))} cores, {options.layers} layers, {options.seconds} s of audio")
    for name in NAMES:
        compare(name, options)


def compare(name: str, options: argparse.Namespace) -> None:
    architecture, head, config = PUBLISHED[name]
    with tempfile.TemporaryDirectory() as folder:
        model = build(architecture, head, **{**config, "num_hidden_layers": options.layers})
        checkpoint = save(model, Path(folder) / "checkpoint")
        result = export(ExportOptions(checkpoint, head=head, output=Path(folder) / "bundle"))
        path = result.bundle / result.manifest.graphs[0].files[0]
        sessions = {provider: open_session(path, provider) for provider in PROVIDERS}
        inputs = result.manifest.features(clips(16000 * options.seconds), "padding-invariant")
        output = result.manifest.outputs[0].name
        cpu, openvino = (session.run(inputs)[output] for session in sessions.values())
        ratios = []
        for _ in range(options.repeats):
            times: dict[str, list[float]] = {provider: [] for provider in PROVIDERS}
            for _ in range(options.rounds):
                for provider, session in sessions.items():
                    start = time.perf_counter()
                    session.run(inputs)
                    times[provider].append(time.perf_counter() - start)
            median = {provider: statistics.median(seconds) for provider, seconds in times.items()}
            ratios.append(median["openvino"] / median["cpu"])
    print(
        f"{name}: openvino takes {', '.join(f'{ratio:.2f}' for ratio in ratios)} times cpu, "
        f"which takes {median['cpu']:.2f} s; outputs differ by {np.abs(openvino - cpu).max() / np.abs(cpu).max():.1e}"
    )


if __name__ == "__main__":
    main()
