"""What TensorRT-RTX makes of a graph, for every position kind, precision and way to write it down; needs no GPU.

    python benchmarks/fusion.py [--layers 2] [--width 1024] [--kinds NAMES]

A model of each kind with random weights is traced, brought to the precision, and compiled for sm89, in the three usual
profiles. Of the plan: fused attention kernels for each layer and profile (1 is all of it), layers of the network,
kernels for each profile but products and convolutions, and the memory that a call needs beside the weights, by
TensorRT's account, in each profile. Then the same of other ways to write the model down, in fp16
(tests/support/forms.py): among them how it was before scores were added in half precision. Rows go into
``benchmarks/results/fusion.json``.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import onnx_ir as ir
import tensorrt_rtx

from support.forms import FORMS
from support.fusion import fused_attention, kernels
from support.oracle import ARCHITECTURES, TINY, build, fronts, save
from w2vc_exporter import ExportOptions
from w2vc_exporter.graph.passes.convolutions_to_products import ConvolutionsToProducts
from w2vc_exporter.graph.passes.quantize_static import QuantizeStatic
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_exporter.graph.save import write
from w2vc_exporter.graph.trace import trace
from w2vc_exporter.precision import forms as fitted
from w2vc_exporter.precision.fitting import HALVES
from w2vc_exporter.subject import Subject, find_subject, read_subject
from w2vc_runtime.engines import worker
from w2vc_runtime.engines.profiles import default_profiles

RESULTS = Path(__file__).parent / "results" / "fusion.json"
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
TARGET = "SM89"
# As published models have them.
USUAL = {
    "conv_depthwise_kernel_size": 31,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "left_max_position_embeddings": 64,
    "right_max_position_embeddings": 8,
}
HEAD_SIZE = 64
# One of each family, each with other positions; of the others, how it was before.
IN_EVERY_FORM = ("wav2vec2-stable", "conformer-relative", "bert-relative_key")
BEFORE = "scores in fp32"
MIXED = "int8, the rest in fp16"


def subject(architecture: str, layers: int, width: int, folder: Path) -> Subject:
    """A model of a kind with random weights."""
    norm = fronts(architecture)[-1]
    front = {} if norm == "log-mel" else {"feat_extract_norm": norm, "conv_bias": norm == "layer"}
    size = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // HEAD_SIZE}
    model = build(architecture, "ctc", **{**TINY, **USUAL, **size, **front, "num_hidden_layers": layers})
    return read_subject(*find_subject(ExportOptions(save(model, folder / "checkpoint"), "ctc", output=folder / "out")))


def write_graph(read: Subject, precision: str, path: Path) -> None:
    """The graph of a model in a precision; scales of int8 are all the same, which makes the plan no other."""
    write(trace(read.model), path)
    model = ir.load(path)
    if fitted.FORMS[None].products:
        ConvolutionsToProducts()(model)
    if precision in ("int8", MIXED):
        QuantizeStatic(defaultdict(lambda: 3.0))(model)
    if precision in HALVES or precision == MIXED:
        ReducePrecision(HALVES.get(precision, ir.DataType.FLOAT16), inside=fitted.FORMS[None].inside)(model)
    write(model, path.with_name("reduced.onnx"))


def compiled(read: Subject, precision: str, layers: int, log: worker.Log, folder: Path) -> dict[str, Any]:
    """What is to say of a plan."""
    write_graph(read, precision, folder / "graph.onnx")
    profiles = [profile.entry(read.interface).shapes for profile in default_profiles(read.interface)]
    files = {"graph": str(folder / "reduced.onnx"), "plan": str(folder / "plan")}
    log.lines.clear()
    try:
        answer = worker.compile_plan(
            tensorrt_rtx, log, {**files, "profiles": profiles, "targets": [TARGET], "lengths": True}, lambda line: None
        )
    except worker.Refusal as refusal:
        return {"problem": str(refusal)}
    plan = Path(files["plan"]).read_bytes()
    memory = [re.match(rf"{worker.ACTIVATIONS}(\d+)", text) for _, text in log.lines]
    return {
        "fused": fused_attention(plan) / layers / len(profiles),
        "network_layers": answer["layers"],
        "kernels": round(kernels(plan) / len(profiles), 1),
        "activation_bytes": [int(each[1]) for each in memory if each],
        "plan_bytes": len(plan),
    }


def rows(architecture: str, layers: int, width: int, log: worker.Log) -> Iterator[dict[str, Any]]:
    """A row for each precision and form of one kind of model."""
    wanted = [(precision, "ours") for precision in (*PRECISIONS, MIXED)]
    forms = list(FORMS) if architecture in IN_EVERY_FORM else [BEFORE]
    wanted += [("fp16", name) for name in forms if FORMS[name].changes(architecture)]
    with tempfile.TemporaryDirectory() as folder:
        read = subject(architecture, layers, width, Path(folder))
        for precision, name in wanted:
            with FORMS[name].context() if name in FORMS else nullcontext():
                found = compiled(read, precision, layers, log, Path(folder))
            yield {"positions": architecture, "precision": precision, "form": name, **found}


def tables(every: list[dict[str, Any]]) -> str:
    """The tables of docs/tensorrt.md: the precisions, then the other forms beside ours in fp16."""
    found = {(row["positions"], row["precision"], row["form"]): row for row in every}
    kinds = list(dict.fromkeys(row["positions"] for row in every))
    columns = {
        "fp32": ("fp32", "ours"),
        "fp16, before": ("fp16", BEFORE),
        "fp16": ("fp16", "ours"),
        "bf16": ("bf16", "ours"),
        "int8": ("int8", "ours"),
        MIXED: (MIXED, "ours"),
    }
    lines = [f"| positions | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    for kind in kinds:
        lines.append(f"| {kind} | {' | '.join(_cell(found.get((kind, *key))) for key in columns.values())} |")
    kinds = [kind for kind in IN_EVERY_FORM if kind in kinds]
    lines += ["", f"| form | {' | '.join(kinds)} |", f"|---{'|---' * len(kinds)}|"]
    for name in ("ours", *FORMS):
        lines.append(f"| {name} | {' | '.join(_cell(found.get((kind, 'fp16', name))) for kind in kinds)} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    """Fused kernels a layer, layers, kernels and megabytes of a row."""
    if row is None or "problem" in row:
        return "-" if row is None else "does not compile"
    megabytes = max(row["activation_bytes"]) / 1e6
    return f"{row['fused']:g}, {row['network_layers']}, {row['kernels']:g}, {megabytes:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--kinds", default=",".join(ARCHITECTURES), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: %(default)s")
    options = parser.parse_args()
    log, every = worker.Log(tensorrt_rtx), []
    command = f"python benchmarks/fusion.py --layers {options.layers} --width {options.width} --kinds {options.kinds}"
    print("| positions | precision | form | fused kernels a layer | layers of the network | kernels | MB a call |")
    print("|---|---|---|---|---|---|---|")
    for architecture in options.kinds.split(","):
        for row in rows(architecture, options.layers, options.width, log):
            every.append(row)
            cells = [row["positions"], row["precision"], row["form"], row.get("problem")]
            if "problem" not in row:
                megabytes = ", ".join(f"{size / 1e6:.0f}" for size in row["activation_bytes"])
                cells[3:] = [f"{row['fused']:g}", row["network_layers"], row["kernels"], megabytes]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            content = {"command": command, "version": tensorrt_rtx.__version__, "target": TARGET, "rows": every}
            options.output.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\n{tables(every)}")


if __name__ == "__main__":
    main()
