"""What each provider and precision takes of the time of a plain export in ONNX Runtime, on this CPU.

Random weights, the hyper-parameters of a published checkpoint with fewer layers. The plain export is
``torch.onnx.export(dynamo=True)`` of Hugging Face's model in fp32, without a mask, once for the one length that is
timed and once with a dynamic length; the former folds the position products of a relative Conformer when it is loaded.
Ours are dynamic and masked. "cpu int8, one scale" is int8 with one scale for the activations of a whole batch, which
ONNX Runtime fuses best and in which clips change each other: what rows with scales of their own cost. All are timed in
turn in one process; a ratio is of the medians.

    python benchmarks/profiles.py [--model wav2vec2-conformer-rel-pos-large] [--layers 4] [--seconds 10] [--threads 2]
        [--rounds 9]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from onnx_ir.passes.common import ShapeInferencePass
from transformers import PreTrainedModel

from support.oracle import build, clips, save
from support.published import PUBLISHED
from w2vc_exporter import ExportOptions, export
from w2vc_exporter.graph.passes.convolutions_to_products import ConvolutionsToProducts
from w2vc_exporter.graph.passes.quantization import products, quantized
from w2vc_exporter.graph.passes.weights import drop_unused, insert_after
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.base import Session
from w2vc_runtime.sessions.select import open_session

# What is timed beside the plain exports: provider it is exported for and run on, and precisions.
OURS = {"cpu": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8")}
# Seconds between two runs: the threads of the one before go on spinning for a while, and would slow the next.
REST = 0.3


def plain(model: PreTrainedModel, inputs: dict[str, np.ndarray], path: Path, dynamic: bool) -> Path:
    model.set_attn_implementation("eager")  # the default, sdpa, fails to export
    (name,) = inputs
    shapes = ({1: torch.export.Dim.DYNAMIC},) if dynamic else None
    with contextlib.redirect_stderr(None):
        torch.onnx.export(
            model,
            (torch.from_numpy(inputs[name]),),
            path,
            dynamo=True,
            opset_version=20,
            input_names=[name],
            dynamic_shapes=shapes,
            verbose=False,
        )
    return path


def one_scale(source: Path, target: Path) -> Path:
    """An fp32 graph in int8 with one scale for the activations of a batch."""
    model = ir.load(source)
    ShapeInferencePass()(model)  # a published graph has no types
    ConvolutionsToProducts()(model)
    quantizers: dict[ir.Value, ir.Node] = {}
    weights = []
    for product in products(model.graph, ()):
        node, x = product.node, product.source
        if x not in quantizers:
            quantizers[x] = ir.node("DynamicQuantizeLinear", [x], num_outputs=3)
            quantizers[x].outputs[0].dtype = ir.DataType.UINT8
            insert_after(model.graph, x, [quantizers[x]])
        data, scale, zero = quantizers[x].outputs
        product.take(data)
        weights.append(node.inputs[1])
        weight, columns = quantized(model.graph, node)
        whole = ir.node("MatMulInteger", [node.inputs[0], weight, zero])
        floats = ir.node("Cast", whole.outputs, {"to": int(ir.DataType.FLOAT)})
        both = ir.node("Mul", [scale, columns])
        result = ir.node("Mul", [floats.outputs[0], both.outputs[0]])
        new = [whole, floats, both, result]
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], new, node.outputs, result.outputs)
    drop_unused(model.graph, weights)
    ir.save(model, target, external_data=f"{target.name}.data")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PUBLISHED, default="wav2vec2-conformer-rel-pos-large")
    for name, default in (("layers", 4), ("seconds", 10), ("threads", 2), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # what providers take their number from
    architecture, head, config = PUBLISHED[options.model]
    model = build(architecture, head, **{**config, "num_hidden_layers": options.layers})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = sessions(model, head, folder, options.seconds)
        outputs = {name: run() for name, run in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                time.sleep(REST)
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "openvino"))
    print(f"{options.model}, {options.layers} layers, {options.seconds} s, {options.threads} threads; {versions}")
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in median.items():
        expected = outputs["plain"]
        difference = np.abs(outputs[name] - expected).max() / np.abs(expected).max()
        share = seconds / median["plain"]
        print(f"{name:20} {1000 * seconds:5.0f} ms, {share:.2f} of plain, differs by {difference:.1e}")


def sessions(model: PreTrainedModel, head: str, folder: Path, seconds: int) -> dict[str, Callable[[], np.ndarray]]:
    """What is timed, by name: calls that give the first output."""
    checkpoint = save(model, folder / "checkpoint")
    runs: dict[str, Callable[[], np.ndarray]] = {}
    ours: dict[str, Callable[[], np.ndarray]] = {}
    for provider, precisions in OURS.items():
        arguments = {"precision": ",".join(precisions), "provider": provider, "budget": "tokens=0%,difference=1"}
        result = export(ExportOptions(checkpoint, head=head, output=folder / provider, **arguments))
        inputs = result.manifest.features(clips(16000 * seconds), "padding-invariant")
        output = result.manifest.outputs[0].name
        for graph in result.manifest.graphs:
            session = open_session(result.bundle / graph.files[0], provider, graph.precision)
            ours[f"{provider} {graph.precision}"] = partial(_first, session, inputs, output)
        if provider == "cpu":
            former = one_scale(result.bundle / result.manifest.graphs[0].files[0], folder / "one-scale.onnx")
            ours["cpu int8, one scale"] = partial(_first, open_session(former, "cpu"), inputs, output)
    bare = {name: value for name, value in inputs.items() if name != "attention_mask"}
    for name, dynamic in (("plain", False), ("plain, dynamic", True)):
        path = plain(model, bare, folder / f"{name}.onnx", dynamic)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        runs[name] = lambda session=session: session.run(None, bare)[0]
    return runs | ours


def _first(session: Session, inputs: Arrays, output: str) -> np.ndarray:
    return session.run(inputs)[output]


if __name__ == "__main__":
    main()
