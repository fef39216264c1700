"""What is not a number never passes, zeros are compared with sense, and of several sessions the worst counts."""

from __future__ import annotations

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from support.bundles import sign
from support.oracle import BRIEF, TINY, build, save
from w2vc_exporter import ExportError, ExportOptions, RejectedError, export
from w2vc_exporter.precision.fitting import Fitting
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.documents.typed import plain
from w2vc_runtime.verify.error_rate import ErrorRates
from w2vc_runtime.verify.parity import verify
from w2vc_runtime.verify.reference import Expected, Reference
from w2vc_runtime.verify.verdict import BUDGETS, Audio, Budget, Row, Verdict, WordErrors, error_percent, percent, worst

ROUNDED = "ONNX Runtime with every rounding computed"


def judged(values: np.ndarray, graph: np.ndarray, budget: Budget = BUDGETS["fp32"], **changes) -> Verdict:
    """A graph that gives one array, beside one that PyTorch is said to have given."""
    expected = dataclasses.replace(Expected.whole(values), **changes)
    case = Reference("case", (np.zeros(400, np.float32),), 1.0, {}, {"logits": (expected,)})
    session = SimpleNamespace(run=lambda inputs: {"logits": graph[None]})
    return verify(session, [case], budget, "logits")


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)


def broken(values: np.ndarray, with_value: float) -> np.ndarray:
    values = values.copy()
    values[7, 3] = with_value
    return values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_fails(value, logits):
    assert not judged(logits, logits).problems
    verdict = judged(logits, broken(logits, value))
    assert verdict.problems == ("case: the graph gives NaN, infinity or a wrong number of frames",)
    assert verdict.difference == np.inf
    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False))["cases"][0]["difference"] is None
    for graph in (logits, broken(logits, value)):
        verdict = judged(broken(logits, value), graph)
        assert verdict.problems == ("case: what PyTorch computes is not finite, and nothing can equal it",)


@pytest.mark.parametrize("largest", [np.nan, np.inf])
def test_a_size_that_is_not_finite_fails(largest, logits):
    """A bundle may say how large PyTorch's values are; differences are relative to that."""
    assert judged(logits, logits + 1, largest=largest).problems


@pytest.mark.parametrize("budget", [Budget(np.nan, 0, 0), Budget(1e-4, np.nan, 0), Budget(1e-4, 0, np.nan)])
def test_a_budget_that_is_not_a_number_is_not_met(budget, logits):
    assert judged(logits, logits, budget).problems


def test_values_whose_difference_is_past_float32_do_not_overflow():
    values = np.full((4, 2), 3e38, np.float32)
    assert not judged(values, values).problems
    assert judged(values, -values).difference == pytest.approx(2.0)


@pytest.mark.parametrize(("value", "passes"), [(0.0, True), (1e-11, True), (1e-9, False), (1.0, False)])
def test_nothing_but_zeros_is_met_by_zeros(value, passes):
    """Differences are then relative to 1e-6."""
    zeros = np.zeros((50, 8), np.float32)
    verdict = judged(zeros, zeros + np.float32(value))
    assert (not verdict.problems) == passes
    assert verdict.difference == pytest.approx(value / 1e-6, rel=1e-3)


def test_a_head_of_zeros_exports_in_every_precision(tmp_path):
    """Without a word of numpy's, which pytest would raise."""
    model = build("conformer-none", **{**TINY, **BRIEF})
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.zero_()
    checkpoint = save(model, tmp_path / "c")
    result = export(ExportOptions(checkpoint, "ctc", "fp32,fp16,bf16,int8", output=tmp_path / "b"))
    assert {verdict.difference for verdict in result.verdicts.values()} == {0.0}


def test_a_checkpoint_that_gives_nan_is_not_published(tmp_path):
    model = build("conformer-none", **{**TINY, **BRIEF})
    with torch.no_grad():
        model.lm_head.bias[3] = torch.nan
    checkpoint = save(model, tmp_path / "c")
    with pytest.raises(ExportError, match=r"gives NaN or infinity in PyTorch itself \(one frame\)"):
        export(ExportOptions(checkpoint, "ctc", "fp32,int8", output=tmp_path / "b"))
    assert list(tmp_path.iterdir()) == [checkpoint]


@pytest.mark.parametrize("field", ["logits.values", "logits.largest"])
def test_a_bundle_whose_reference_is_nan_fails(field, digits, tmp_path, capsys):
    bundle = shutil.copytree(digits["fp32"], tmp_path / "bundle")
    arrays = dict(np.load(bundle / "verification.npz"))
    arrays[field] = np.full_like(arrays[field], np.nan)
    np.savez(bundle / "verification.npz", **arrays)
    sign(bundle)
    assert run_cli.main(["verify", str(bundle), "--provider", "cpu"]) == 2
    assert "does not fit the manifest (logits has a value that is not finite)" in capsys.readouterr().err


def verdict(difference: float, same: int, wer: float, problems: tuple[str, ...] = ()) -> Verdict:
    rows = (Row("a", 1, 1.0, difference, 100, same), Row("b", 1, 1.0, difference / 2, 100, 100))
    heard = WordErrors(100, ErrorRates(0.01, 0.0), ErrorRates(wer, 0.0))
    return Verdict(Budget(0.1, 0.5, 9), rows, problems, Audio("calls", 1, 2.0, heard))


def test_each_figure_is_that_of_the_worst_session():
    one, other = verdict(0.05, 90, 0.01), verdict(0.01, 80, 0.03)
    for together in (worst({"one": one, "other": other}), worst({"other": other, "one": one})):
        assert not together.problems
        assert (together.difference, together.same, together.wer_rise) == (0.05, 0.9, 2.0)
        assert [row.same for row in together.rows] == [80, 100]
        assert {each.session: (each.difference, each.same, each.wer) for each in together.sessions} == {
            "one": (0.05, 0.95, 0.01), "other": (0.01, 0.9, 0.03)
        }  # fmt: skip
        assert "worst difference 5.0e-02" in together.summary
        assert "one: 5.0e-02, 95.00 %" in together.summary
        assert "other: 1.0e-02, 90.00 %" in together.summary
    failed = worst({"one": one, "other": verdict(0.2, 80, 0.03, ("a: differs",))})
    assert failed.problems == ("other: a: differs",)
    assert [each.passed for each in failed.sessions] == [True, False]
    assert worst({"one": one}).rows == one.rows
    assert worst({"one": one}).summary.endswith(", run by one")


class Judge:
    """Finds in each session, one after another, what it is told to."""

    def __init__(self, *differences: float) -> None:
        self.differences = iter(differences)

    def __call__(self, session, cases, budget, **_) -> Verdict:
        difference = next(self.differences)
        problems = ("one frame: differs",) if difference > budget.difference else ()
        return Verdict(budget, (Row("one frame", 1, 1.0, difference, 0, 0),), problems)


@pytest.mark.parametrize("differences", [(0.001, 0.004, 0.0001), (0.004, 0.001, 0.0001), (0.0001, 0.001, 0.004)])
def test_the_certificate_shows_every_session_and_the_worst_of_them(differences, tmp_path, monkeypatch):
    """Of an fp16 graph OpenVINO, which is judged last, computes in fp32."""
    pytest.importorskip("openvino")
    monkeypatch.setattr("w2vc_exporter.pipeline.verify", Judge(*differences))
    checkpoint = save(build("conformer-none", **{**TINY, **BRIEF}), tmp_path / "c")
    result = export(ExportOptions(checkpoint, "ctc", "fp16", provider="openvino", output=tmp_path / "b"))
    assert result.verdicts["fp16"].difference == 0.004
    (stored,) = result.manifest.verification.values()
    runs = plain(stored.sessions)
    assert [(run["session"], run["difference"]) for run in runs] == list(
        zip(("ONNX Runtime", ROUNDED, "OpenVINO"), differences)
    )
    report = json.loads((tmp_path / "b" / "report.json").read_text())["precisions"]["fp16"]
    assert report["sessions"] == runs
    assert report["difference"] == 0.004
    page = (tmp_path / "b" / "report.html").read_text()
    for run in runs:
        assert run["session"] in page
        assert f"{run['difference']:.1e}" in page
        assert f"{run['session']}: {run['difference']:.1e}" in report["statement"]


def test_a_session_that_fails_fails_the_graph(tmp_path, monkeypatch):
    monkeypatch.setattr("w2vc_exporter.pipeline.verify", Judge(0.001, 0.5))
    monkeypatch.setattr(Fitting, "_large", lambda fitting: {})
    monkeypatch.setattr(Fitting, "_by_layer", lambda fitting, kept, fitted: fitted)
    checkpoint = save(build("conformer-none", **{**TINY, **BRIEF}), tmp_path / "c")
    with pytest.raises(RejectedError, match=f"fp16, {ROUNDED}: one frame: differs"):
        export(ExportOptions(checkpoint, "ctc", "fp16", output=tmp_path / "b"))


def test_percent_never_flatters():
    assert percent(0.99999) == 99.99
    assert percent(0.9967) == 99.67  # 99.66999… in floating point
    assert percent(1849 / 1855) == 99.67
    assert percent(1.0) == 100
    assert error_percent(1e-6) == 0.01
    assert error_percent(0.0277) == 2.77
    assert error_percent(0.0) == 0
