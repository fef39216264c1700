"""Every node knows its layer, of untrained models too, whose equal weights the optimiser merges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from support.oracle import ARCHITECTURES, BRIEF, TINY, build, save, untrained
from w2vc_exporter import ExportOptions, export
from w2vc_exporter.graph.layers import ends, inherit, parts, said
from w2vc_exporter.graph.passes.convolutions_to_products import ConvolutionsToProducts
from w2vc_exporter.graph.passes.emulate_half import EmulateHalf
from w2vc_exporter.graph.passes.quantize_matmul import QuantizeMatMul
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_exporter.graph.trace import trace
from w2vc_model import load as load_model
from w2vc_runtime.sessions.select import open_session

PRECISIONS = "fp32,fp16,bf16,int8"
SMALL = {**TINY, **BRIEF, "num_hidden_layers": 2}
# Every architecture and position kind, every head, and what is added to a layer or comes behind the layers.
CELLS = [
    (untrained, "wav2vec2", "xvector", {"use_weighted_layer_sum": True}),
    (build, "wav2vec2", "ctc", {"add_adapter": True}),
    (untrained, "wav2vec2-stable", "base", {}),
    (build, "wav2vec2-stable", "ctc", {"adapter_attn_dim": 16}),
    (untrained, "conformer-relative", "ctc", {}),
    (untrained, "conformer-rotary", "pretraining", {}),
    (build, "conformer-none", "sequence-classification", {}),
    (build, "bert-relative_key", "ctc", {"add_adapter": True}),
    (untrained, "bert-relative", "base", {}),
    (untrained, "bert-rotary", "frame-classification", {}),
    (untrained, "bert-none", "sequence-classification", {"use_weighted_layer_sum": True}),
]


@pytest.mark.parametrize(("make", "architecture", "head", "options"), CELLS, ids=[f"{c[1]}-{c[2]}" for c in CELLS])
def test_layers_end_in_what_the_layers_of_pytorch_give(make, architecture, head, options, tmp_path):
    model = load_model(save(make(architecture, head, **{**SMALL, **options}), tmp_path / "c"), head)
    graph = trace(model)
    outputs = []
    for layer in model.backbone.encoder.layers:
        layer.register_forward_hook(lambda module, arguments, output: outputs.append(output.detach().numpy()))
    values, *masks = model.example()
    arguments = (torch.randn(values.shape, generator=torch.Generator().manual_seed(0)), *masks)
    model(*arguments)
    names = ends(graph.graph)
    made = {value.name: value for node in graph.graph for value in node.outputs}
    graph.graph.outputs.extend(made[name] for name in names if not made[name].is_graph_output())
    ir.save(graph, tmp_path / "g.onnx")
    inputs = dict(zip(model.inputs, (argument.numpy() for argument in arguments)))
    results = open_session(tmp_path / "g.onnx", "cpu").run(inputs)
    assert len(names) == len(outputs) == 2
    for name, output in zip(names, outputs):
        np.testing.assert_allclose(results[name], output, atol=1e-4)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-2  # one could not stand for the other


def labelled(graph: ir.Graph) -> dict[str, set[str]]:
    """Operators by layer."""
    found: dict[str, set[str]] = {}
    for node in graph:
        found.setdefault(node.metadata_props["layer"], set()).add(node.op_type)
    return found


def test_what_passes_make_belongs_to_the_layer_that_it_is_in(tmp_path):
    model = load_model(save(build("wav2vec2", "ctc", **SMALL), tmp_path / "c"), "ctc")
    graph = trace(model)
    assert list(parts(graph.graph)) == ["front", "1", "2", "head"]
    assert labelled(graph.graph)["head"] == {"MatMul", "Add"}
    ir.save(graph, tmp_path / "g.onnx")

    def rewritten(*passes: ir.passes.InPlacePass) -> dict[str, set[str]]:
        other = ir.load(tmp_path / "g.onnx")
        for each in passes:
            each(other)
        inherit(other.graph)
        return labelled(other.graph)

    products = rewritten(ConvolutionsToProducts())
    assert {"Slice", "Concat"} <= products["front"]
    assert "Slice" not in products["1"]
    integers = rewritten(QuantizeMatMul())
    assert all("MatMulIntegerToFloat" in integers[label] for label in ("1", "2", "head"))
    # Only the products of one layer in int8: what quantises for them is in that layer, and no other.
    kept = [name for label, names in parts(graph.graph).items() if label != "2" for name in names]
    one = rewritten(QuantizeMatMul(keep=kept))
    assert [label for label, operators in one.items() if "QuantizeLinear" in operators] == ["2"]
    halves = rewritten(ReducePrecision(), EmulateHalf())
    assert all("Cast" in halves[label] for label in ("front", "1", "2", "head"))


def test_parts_in_words():
    assert said(["front"]) == "the part before the layers"
    assert said(["3"]) == "layer 3"
    assert (
        said(["front", "1", "12", "head"]) == "the part before the layers, layers 1, 12 and the part after the layers"
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_untrained_models_export_in_every_precision(architecture, tmp_path):
    checkpoint = save(untrained(architecture, **SMALL), tmp_path / "c")
    result = export(ExportOptions(checkpoint, head="ctc", precision=PRECISIONS, output=tmp_path / "b"))
    assert all(not verdict.problems for verdict in result.verdicts.values())
    for precision in ("fp16", "bf16", "int8"):
        assert [row["layer"] for row in result.report["precisions"][precision]["layers"]] == [1, 2]
    for graph in result.manifest.graphs:
        layers = metadata(tmp_path / "b" / graph.files[0])
        assert layers == {("layer", label) for label in ("front", "1", "2", "head")}


def metadata(path: Path) -> set[tuple[str, str]]:
    """All that the nodes of a graph have; no path of this machine among it."""
    model = onnx.load(path)
    assert not model.metadata_props
    return {(entry.key, entry.value) for node in model.graph.node for entry in node.metadata_props}


def test_layers_of_an_untrained_model_are_kept_one_by_one(tmp_path):
    """A budget that the whole graph misses is met by the layers that cost the most, found in a graph of equal norms."""
    checkpoint = save(untrained("conformer-relative", **SMALL), tmp_path / "c")
    loose = ExportOptions(checkpoint, "ctc", "int8", budget="difference=9,tokens=0%", output=tmp_path / "loose")
    budget = f"difference={export(loose).verdicts['int8'].difference / 1.2:.6f},tokens=0%"
    result = export(ExportOptions(checkpoint, "ctc", "int8", budget=budget, output=tmp_path / "b"))
    (kept,) = result.manifest.graphs[0].kept
    assert kept.reason.startswith("int8 costs the most in ")
    graph = onnx.load(tmp_path / "b" / "model_int8.onnx").graph
    labels = {entry.value for node in graph.node if node.name in kept.nodes for entry in node.metadata_props}
    assert kept.reason == f"int8 costs the most in {said(sorted(labels))}"
    assert {"MatMulIntegerToFloat"} <= {node.op_type for node in graph.node}
