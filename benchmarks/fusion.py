"""What TensorRT-RTX makes of attention, for every position kind and precision; needs no GPU.

    python benchmarks/fusion.py [--layers 2] [--width 256]

A model of each kind with random weights is exported and compiled for sm89, in three profiles. Of the plan: fused
attention kernels for each layer and profile (1 is all of it), layers of the network, and the memory that a call needs
beside the weights, by TensorRT's account. Rows go into ``benchmarks/results/fusion.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from support.fusion import fused_attention
from support.oracle import ARCHITECTURES, TINY, build, fronts, save
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import W2vcError
from w2vc_runtime.engines import EngineOptions, compile_bundle

RESULTS = Path(__file__).parent / "results" / "fusion.json"
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
TARGET = "sm89"


def rows(architecture: str, layers: int, width: int) -> list[dict[str, Any]]:
    """A row for each precision of one kind of model."""
    norm = fronts(architecture)[-1]
    front = {} if norm == "log-mel" else {"feat_extract_norm": norm, "conv_bias": norm == "layer"}
    size = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 64}
    model = build(architecture, "ctc", **{**TINY, **size, **front, "num_hidden_layers": layers})
    found = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = save(model, Path(folder) / "checkpoint")
        for precision in PRECISIONS:
            provider = "tensorrt" if precision == "int8" else None
            row: dict[str, Any] = {"positions": architecture, "precision": precision}
            options = ExportOptions(
                checkpoint, "ctc", precision, provider, budget="tokens=0%,difference=1", output=Path(folder) / precision
            )
            try:
                bundle = export(options).bundle
                engine = compile_bundle(bundle, EngineOptions((TARGET,)))
            except W2vcError as error:
                found.append(row | {"problem": str(error)})
                continue
            plan = (bundle / engine.engine.file).read_bytes()
            found.append(
                row
                | {
                    "fused": fused_attention(plan) / layers / len(engine.engine.profiles),
                    "network_layers": engine.layers,
                    "activation_bytes": engine.engine.activation_bytes,
                    "version": engine.engine.version,
                }
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    every = []
    print(
        "| positions | precision | fused kernels a layer | layers of the network | MB a call |\n|---|---|---|---|---|"
    )
    for architecture in ARCHITECTURES:
        for row in rows(architecture, options.layers, options.width):
            every.append(row)
            cells = [row["positions"], row["precision"], row.get("problem")]
            if "problem" not in row:
                megabytes = "" if row["activation_bytes"] is None else f"{row['activation_bytes'] / 1e6:.1f}"
                cells[2:] = [f"{row['fused']:g}", row["network_layers"], megabytes]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    command = f"python benchmarks/fusion.py --layers {options.layers} --width {options.width}"
    RESULTS.write_text(json.dumps({"command": command, "target": TARGET, "rows": every}, indent=1) + "\n")


if __name__ == "__main__":
    main()
