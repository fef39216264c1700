"""A clip's result is the same alone and in any batch; the gate turns away graphs in which it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from support.oracle import clips, tiny
from support.paths import DEMO_AUDIO
from w2vc_exporter import ExportOptions, RejectedError, export
from w2vc_exporter.graph.passes import quantize_matmul
from w2vc_exporter.graph.passes.quantization import products
from w2vc_exporter.graph.passes.quantize_matmul import QuantizeMatMul
from w2vc_exporter.graph.passes.weights import insert_after
from w2vc_exporter.options import DIGITS
from w2vc_runtime import Model, OptionError, load
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.sessions.base import Arrays, GraphFile, Session
from w2vc_runtime.sessions.onnx_runtime import OnnxRuntimeSession, check_cpu
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify.expectations import read
from w2vc_runtime.verify.invariance import batch_problems
from w2vc_runtime.verify.parity import verify
from w2vc_runtime.verify.verdict import BUDGETS, Row, Verdict

CHECKPOINTS = {"random": lambda: tiny("conformer-relative", "group")[1], "digits": lambda: DIGITS}
TEXTS = 160


@pytest.fixture(scope="module", params=CHECKPOINTS)
def bundle(request, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("invariance") / "bundle"
    return export(ExportOptions(CHECKPOINTS[request.param](), precision="fp32,int8", output=target)).bundle


def sounds() -> list[np.ndarray]:
    """Pieces of up to 1.5 s of spoken digits and of noise, from faint to past full scale."""
    generator = np.random.default_rng(3)
    spoken = np.concatenate([read_audio(path, 16000) for path in sorted(DEMO_AUDIO.glob("*.flac"))])
    heard = []
    for index, noise in enumerate(clips(*generator.integers(400, 24000, TEXTS))):
        start = int(generator.integers(0, len(spoken) - len(noise)))
        piece = noise if index % 4 == 0 else spoken[start : start + len(noise)]
        heard.append(piece * np.float32(10 ** generator.uniform(-4, 2)))
    return heard


def texts(model: Model, batch: list[np.ndarray]) -> list[str]:
    return [answer.text for answer in model.infer(batch)]


def in_random_batches(model: Model, heard: list[np.ndarray]) -> list[str]:
    generator = np.random.default_rng(4)
    order = generator.permutation(len(heard)).tolist()
    found = [""] * len(heard)
    while order:
        size = int(generator.integers(2, 9))
        some, order = order[:size], order[size:]
        for index, text in zip(some, texts(model, [heard[each] for each in some])):
            found[index] = text
    return found


def test_int8_gives_the_same_text_alone_and_in_any_batch(bundle):
    model = load(bundle, "cpu", "int8")
    heard = sounds()
    alone = [texts(model, [clip])[0] for clip in heard]
    assert len(set(alone)) > TEXTS / 4
    assert in_random_batches(model, heard) == alone


def one_scale_for_the_batch(path: Path, target: Path) -> Path:
    """An fp32 graph whose products round their activations with the range of the whole batch."""
    model = ir.load(path)
    rounded: dict[ir.Value, ir.Value] = {}
    for product in products(model.graph, ()):
        x = product.node.inputs[0]
        assert x is not None
        if x not in rounded:
            quantize = ir.node("DynamicQuantizeLinear", [x], num_outputs=3)
            restore = ir.node("DequantizeLinear", quantize.outputs)
            insert_after(model.graph, x, [quantize, restore])
            rounded[x] = restore.outputs[0]
        product.node.replace_input_with(0, rounded[x])
    ir.save(model, target)
    return target


def judge(bundle: Path, session: Session, precision: str) -> Verdict:
    """On the batches alone."""
    cases, choice = read(Bundle.read(bundle))
    return verify(session, [case for case in cases if len(case.clips) > 1], BUDGETS[precision], choice)


def test_one_scale_for_the_batch_is_turned_away(bundle, tmp_path):
    path = one_scale_for_the_batch(bundle / "model.onnx", tmp_path / "graph.onnx")
    verdict = judge(bundle, open_session(path, "cpu"), "int8")
    assert verdict.difference < BUDGETS["int8"].difference  # of PyTorch: what the gate held it to before
    assert verdict.problems
    assert all("from itself alone" in problem for problem in verdict.problems)
    assert all(row.alone is not None for row in verdict.rows)


class Leaking:
    """A session in which a batch moves every clip by a share of the largest value."""

    def __init__(self, session: Session, share: float) -> None:
        self.session, self.share, self.provider = session, share, session.provider

    def run(self, inputs: Arrays) -> Arrays:
        outputs = self.session.run(inputs)
        batch = len(inputs["attention_mask"])
        outputs["logits"] = outputs["logits"] + np.float32(self.share * np.abs(outputs["logits"]).max() * (batch > 1))
        return outputs


def test_every_precision_is_held_to_far_less_than_its_budget(bundle):
    session = open_session(bundle / "model.onnx", "cpu")
    for precision, budget in BUDGETS.items():
        assert budget.alone <= budget.difference / 3
        for share, allowed in ((budget.alone / 2, True), (2 * budget.alone, False)):
            problems = judge(bundle, Leaking(session, share), precision).problems
            assert (problems == ()) == allowed, (precision, share)


def test_choices_that_change_with_the_batch_are_a_problem():
    rows = [Row("padded", 3, 1.0, 0.0, 1000, 1000, alone=1e-3, changed=2), Row("alone", 1, 1.0, 0.0, 1000, 900)]
    (problem,) = batch_problems(rows, BUDGETS["int8"])
    assert problem == "2 of 1000 choices change with the batch, which padding-invariant rules out"
    assert not batch_problems(rows, BUDGETS["bf16"])


def test_what_is_not_a_number_in_a_batch_is_a_problem():
    rows = [Row("padded", 3, 1.0, 0.0, 1, 1, alone=float("nan")), Row("padded", 3, 1.0, 0.0, 1, 1, alone=float("inf"))]
    assert len(batch_problems(rows, BUDGETS["int8"])) == 2


def test_the_exact_contract_is_of_the_batch(tmp_path):
    options = ExportOptions(tiny(brief=True)[1], precision="int8", padding="hf-exact", output=tmp_path / "b")
    assert all(row.alone is None for row in export(options).verdicts["int8"].rows)


def test_the_bundle_repeats_the_check(bundle, monkeypatch, capsys):
    assert run_cli.main(["verify", str(bundle), "--provider", "cpu"]) == 0
    intact = OnnxRuntimeSession.run
    monkeypatch.setattr(OnnxRuntimeSession, "run", lambda self, inputs: Leaking(Intact(self, intact), 2e-5).run(inputs))
    assert run_cli.main(["verify", str(bundle), "--provider", "cpu", "--precision", "fp32"]) == 1
    assert "from itself alone" in "".join(capsys.readouterr())


class Intact:
    """A session as it was before it was patched."""

    provider = "cpu"

    def __init__(self, session: OnnxRuntimeSession, run) -> None:
        self.session, self.intact = session, run

    def run(self, inputs: Arrays) -> Arrays:
        return self.intact(self.session, inputs)


def test_an_int8_that_mixes_clips_is_not_published(tmp_path, monkeypatch):
    """The scale of each row becomes that of the largest row."""
    rows = quantize_matmul._rows

    def mixed(graph, x, constants):
        data, scale = rows(graph, x, constants)
        producer = scale.producer()
        largest = ir.node("ReduceMax", [producer.inputs[0]], {"keepdims": 1})
        shape = ir.node("Shape", [producer.inputs[0]])
        same = ir.node("Expand", [largest.outputs[0], shape.outputs[0]])
        graph.insert_before(producer, [largest, shape, same])
        producer.replace_input_with(0, same.outputs[0])
        return data, scale

    monkeypatch.setattr(quantize_matmul, "_rows", mixed)
    monkeypatch.setattr("w2vc_exporter.precision.fitting.Fitting._by_layer", lambda self, kept, fitted: fitted)
    options = ExportOptions(tiny(brief=True)[1], precision="int8", output=tmp_path / "b")
    with pytest.raises(RejectedError, match="from itself alone"):
        export(options)


def test_kept_products_stay_as_they_are(tmp_path):
    model = ir.load(export(ExportOptions(tiny(brief=True)[1], output=tmp_path / "b")).bundle / "model.onnx")
    names = {product.node.name for product in products(model.graph, ())}
    (one, *_) = sorted(names)
    QuantizeMatMul({one})(model)
    found = {node.name: node.op_type for node in ir.to_proto(model).graph.node}
    assert found[one] in ("MatMul", "Gemm")
    assert {found[name] for name in names - {one}} == {"MatMulIntegerToFloat"}
    onnx.checker.check_model(ir.to_proto(model))


@pytest.mark.parametrize(("version", "fits"), [("1.24.4", False), ("1.25.0", True), ("2.0.0.dev1", True)])
def test_int8_needs_an_onnx_runtime_that_computes_it_right(version, fits, monkeypatch, tmp_path):
    monkeypatch.setattr("onnxruntime.__version__", version)
    graph = GraphFile(tmp_path / "model_int8.onnx", "int8", "cpu")
    if fits:
        check_cpu(graph)
        return
    with pytest.raises(OptionError, match=r"needs onnxruntime 1\.25 or newer, and this is 1\.24\.4"):
        check_cpu(graph)
    check_cpu(replace(graph, precision="fp32"))
    with pytest.raises(OptionError, match=r"needs onnxruntime 1\.25 or newer"):
        export(ExportOptions(tiny(brief=True)[1], precision="int8", output=tmp_path / "b"))
    assert not list(tmp_path.iterdir())
