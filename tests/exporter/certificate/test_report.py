"""The certificate: what it says is measured, the page shows nothing else, and it stands alone."""

from __future__ import annotations

import copy
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

import w2vc_runtime.bench.measure
from support.oracle import tiny
from w2vc_exporter import ExportOptions, RejectedError, export
from w2vc_exporter.certificate.html import render
from w2vc_exporter.cli import summary
from w2vc_exporter.gate.references import references
from w2vc_exporter.graph.master import Master
from w2vc_exporter.graph.passes.emulate_half import EmulateHalf
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_exporter.graph.trace import trace
from w2vc_exporter.pipeline import ExportResult
from w2vc_exporter.precision.drift import Layers
from w2vc_model import load as load_model
from w2vc_runtime.bench import plots
from w2vc_runtime.bench.measure import measure
from w2vc_runtime.bundle import Bundle, Kept, digest
from w2vc_runtime.errors import BundleError, InferenceError
from w2vc_runtime.verify.cases import GAINS
from w2vc_runtime.verify.verdict import BUDGETS, Row, Verdict, percent

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
SECONDS = (0.5, 1.0)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> ExportResult:
    """One bundle of every precision, timed at two lengths."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(w2vc_runtime.bench.measure, "SECONDS", SECONDS)
        return export(ExportOptions(tiny()[1], precision=",".join(PRECISIONS), output=folder / "b"))


@pytest.fixture
def report(result) -> dict[str, Any]:
    return copy.deepcopy(result.report)


class Text(HTMLParser):
    """What a reader sees, without the marks of scales."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.hidden = tag == "style" or ("class", "tick") in attributes

    def handle_endtag(self, tag):
        self.hidden = False
        self.parts.append(" ")

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


def numbers(text: str) -> set[float]:
    return {float(found) for found in re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", text.replace("\u202f", ""))}


def unproven(page: str, report: dict[str, Any]) -> set[float]:
    return numbers("".join(Text(page).parts)) - numbers(json.dumps(report, ensure_ascii=False))


def extended(report: dict[str, Any]) -> dict[str, Any]:
    """A report with what this export had no reason to say."""
    for precision, each in report["precisions"].items():
        each["audio"] = {
            "clips": 120, "seconds": 71.5, "words": 361, "reference_error_percent": 2.77, "error_percent": 3.05
        }  # fmt: skip
        each["kept"] = [{"nodes": ["node_a", "node_b"], "reason": f"{precision} needs <it> & more"}]
    report["measured"]["slower"] = [
        "int8 is slower than fp32 on this machine (provider cpu): 1.4 times as long for 5 s"
    ]
    report["precisions"]["int8"] |= {"passed": False, "difference": None, "problems": ["one frame: NaN", "0.1 s: NaN"]}
    report["precisions"]["int8"]["cases"][0]["difference"] = None
    report["precisions"]["fp32"]["cases"][1]["difference"] = 0.0
    return report | {"passed": False, "name": "<b>&"}


def test_the_page_shows_no_number_that_the_report_lacks(result, report):
    assert unproven((result.bundle / "report.html").read_text(), report) == set()
    more = extended(report)
    assert unproven(render(more), more) == set()
    assert {2.77, 3.05, 361.0} <= numbers("".join(Text(render(more)).parts))
    more["precisions"]["int8"]["audio"]["error_percent"] = 4.04
    page = render(more)
    more["precisions"]["int8"]["audio"]["error_percent"] = 3.05
    assert unproven(page, more) == {4.04}


def test_the_page_stands_alone(result, report):
    for page in ((result.bundle / "report.html").read_text(), render(extended(report))):
        assert len(page.encode()) < 1_000_000
        assert not re.search(r"<script|<link|<img|<iframe|src=|href=|@import|url\(|https?:|\son\w+=", page)
        assert "prefers-color-scheme: dark" in page
        assert "@media print" in page
        body = page[page.index("<body>") : page.index("</html>")].replace("<br>", "<br/>")
        plots = ElementTree.fromstring(body).findall(".//svg")  # every tag is closed, and every < of a name escaped
        assert len(plots) == 4 + 1 + 1 + len(SECONDS)
        assert all(plot.get("role") == "img" and plot.get("aria-label") == plot.findtext("title") for plot in plots)
    assert "needs &lt;it&gt; &amp; more" in page
    assert "✗ Rejected" in page
    assert "not finite" in page


# Units that a letter takes at the plots' 11.5 px, on average, in the widest of the fonts that a page falls back to.
LETTER = 6.0


def overlapping(plot: ElementTree.Element) -> list[tuple[str, str]]:
    """Labels of a plot that lie on each other, or past its edges."""
    boxes = []
    for each in plot.iter("text"):
        text, x = each.text or "", float(each.get("x", 0))
        width = LETTER * len(text)
        left = {"start": x, "middle": x - width / 2, "end": x - width}[each.get("text-anchor", "start")]
        boxes.append((text, left, left + width, float(each.get("y", 0))))
    found = [(text, "edge") for text, left, right, _ in boxes if left < -LETTER or right > plots.WIDTH + LETTER]
    for index, (text, left, right, y) in enumerate(boxes):
        for other, other_left, other_right, other_y in boxes[index + 1 :]:
            if left < other_right and other_left < right and abs(y - other_y) < 10:
                found.append((text, other))
    return found


def test_no_label_of_a_plot_lies_on_another(report):
    """However many precisions share an axis: those of fp32 are then near its left end."""
    case = report["precisions"]["fp32"]["cases"][0]
    for decades in ((-8, -3), (-8, 0), (-2, 0)):
        for value in (1e-8, 3e-5, 0.03, 0.9, None):
            for budget in (1e-4, 2e-2, 3e-1):
                cases = [case | {"difference": value, "case": name} for name in ("padded 0.7, 2.3, 1.2 s", "x" * 40)]
                assert overlapping(ElementTree.fromstring(plots.parity("fp32", cases, budget, decades))) == []
    for count in (1, 2, 4):
        chosen = PRECISIONS[:count]
        some = (
            report
            | {part: {precision: report[part][precision] for precision in chosen} for part in ("precisions",)}
            | {
                "measured": report["measured"]
                | {"precisions": {p: report["measured"]["precisions"][p] for p in chosen}}
            }
        )
        page = render(some)
        for plot in re.findall(r"<svg.*?</svg>", page):
            assert overlapping(ElementTree.fromstring(plot)) == []


def test_an_agreement_is_rounded_in_one_way(report):
    """1849 of 1855 are 99.676… %."""
    rows = tuple(Row(f"{index}", 1, 1.0, 0.0, 1855, 1849) for index in range(2))
    verdict = Verdict(BUDGETS["int8"], rows, ())
    each = report["precisions"]["int8"]
    each["same_percent"] = percent(verdict.same)
    each["statement"] = verdict.summary
    text = "".join(Text(render(report)).parts)
    assert len(re.findall(r"99\.67 %", text)) == 3  # on its card, in its verdict and in the table
    assert "99.68" not in text


def test_a_table_too_wide_for_a_phone_says_that_it_scrolls(report):
    page = render(report)
    assert ".scrolls::before" in page
    for table in re.findall(r'<div class="[^"]*" tabindex="0"><table>.*?</table>', page):
        assert table.startswith('<div class="wide scrolls"') == (table.count("<th>") > 5)
    assert 'class="wide scrolls" tabindex="0"><table><thead><tr><th>precision</th><th>provider</th>' in page


def test_the_report_belongs_to_its_bundle(result, report):
    assert json.loads((result.bundle / "report.json").read_text()) == report
    assert report["manifest"] == Bundle.read(result.bundle).manifest.sha256
    assert report["sha256"] == digest(report)
    files = {path.name for path in result.bundle.iterdir()}
    assert set(result.manifest.files) == files - {"manifest.json", "report.json", "report.html"}
    assert report["passed"] is True
    assert (report["model"]["layers"], report["model"]["width"]) == (2, 48)
    weights = (tensor for tensor in load_model(tiny()[1], "ctc").parameters())
    assert report["model"]["parameters"] == sum(weight.numel() for weight in weights)
    for precision, verdict in result.verdicts.items():
        said = report["precisions"][precision]
        assert said["difference"] == float(f"{verdict.difference:.1e}")
        assert said["choices"] == sum(row.choices for row in verdict.rows) > said["same"] - 1
        assert [case["group"] for case in said["cases"]] == ["length"] * 6 + ["batch"] * 5 + ["loudness"] * len(GAINS)


def test_two_exports_differ_in_what_was_measured_alone(result, tmp_path):
    again = export(ExportOptions(tiny()[1], precision=",".join(PRECISIONS), output=tmp_path / "b"))
    one, two = ({path.name: path.read_bytes() for path in each.bundle.iterdir()} for each in (result, again))
    reports = [json.loads(files.pop("report.json")) for files in (one, two)]
    for files in (one, two):
        del files["report.html"], files["manifest.json"]
    assert one == two
    for each in reports:
        del each["created"], each["measured"], each["page"], each["sha256"]
    assert reports[0] == reports[1]


def test_drift_is_that_of_each_layer(result, report, tmp_path):
    """One node in half precision shows from its layer on, and not before it."""
    layers = {precision: report["precisions"][precision]["layers"] for precision in PRECISIONS}
    assert layers["fp32"] == []
    for precision in PRECISIONS[1:]:
        assert [row["layer"] for row in layers[precision]] == [1, 2]
        assert 0 < layers[precision][0]["difference"] < 0.1
    assert layers["fp16"][1]["difference"] < layers["bf16"][1]["difference"]

    model = load_model(tiny()[1], "ctc")
    manifest = result.manifest
    cases = references(model, manifest.interface)
    written = Master.write(trace(model), tmp_path)
    probe = Layers(written, cases, tmp_path)
    assert [row["difference"] for row in probe.drift(written.load())] == [0.0, 0.0]
    master = written.load()
    names = [str(node.name) for node in master.graph]
    product = next(
        node for node in master.graph
        if node.op_type == "Conv" and node.metadata_props["layer"] == "2"
    )  # fmt: skip
    ReducePrecision(keep=[name for name in names if name != product.name])(master)
    EmulateHalf()(master)
    first, second = probe.drift(master)
    assert first["difference"] == 0.0
    assert second["difference"] > 0.0


def test_what_is_measured(result, report, monkeypatch):
    measured = report["measured"]
    assert measured["machine"]["cores"] >= 1
    for each in measured["precisions"].values():
        rows = each["lengths"]
        if each["provider"] is None:
            assert each["note"] == "not measured: provider openvino is not here"
            continue
        assert [row["seconds"] for row in rows] == list(SECONDS)
        assert all(row["milliseconds"] > 0 and row["times_real_time"] > 0 for row in rows)
        full = measured["precisions"]["fp32"]["lengths"]
        assert all(row["ratio"] == round(row["milliseconds"] / of["milliseconds"], 2) for row, of in zip(rows, full))

    monkeypatch.setattr(w2vc_runtime.bench.measure, "LONGEST_SECONDS", 0.0)
    monkeypatch.setitem(sys.modules, "openvino", None)
    short = measure(Bundle(result.bundle, result.manifest))["precisions"]
    assert [row["seconds"] for row in short["fp32"]["lengths"]] == [1.0]
    monkeypatch.setattr(w2vc_runtime.bench.measure, "SECONDS", SECONDS)
    short = measure(Bundle(result.bundle, result.manifest))["precisions"]
    assert [row["seconds"] for row in short["fp32"]["lengths"]] == [0.5]
    assert short["fp32"]["note"] == "not measured from 1 s on: a run would take over 0 s"
    assert short["bf16"]["note"] == "not measured: provider openvino is not here"


def test_a_graph_that_the_gate_had_open_is_measured_there(monkeypatch, tmp_path):
    def refuse(path, provider, precision):
        raise AssertionError(f"{path} is opened again")

    monkeypatch.setattr(w2vc_runtime.bench.measure, "open_session", refuse)
    options = ExportOptions(tiny(brief=True)[1], precision="fp32,fp16,int8", output=tmp_path / "b")
    measured = export(options).report["measured"]["precisions"]
    assert {precision: each["provider"] for precision, each in measured.items()} == dict.fromkeys(measured, "cpu")
    assert all(row["ratio"] for each in measured.values() for row in each["lengths"])


def test_a_provider_that_fails_is_noted_and_no_more(result, monkeypatch):
    class Failing:
        provider = "cpu"

        def run(self, inputs):
            raise InferenceError("out of memory")

    def refuse(path, provider, precision):
        if precision == "int8":
            raise BundleError("cannot load")
        return Failing()

    monkeypatch.setattr(w2vc_runtime.bench.measure, "open_session", refuse)
    measured = measure(Bundle(result.bundle, result.manifest))
    notes = {precision: each["note"] for precision, each in measured["precisions"].items()}
    assert notes["fp32"] == "not measured from 1 s on: provider cpu failed"
    assert notes["int8"] == "not measured: provider cpu cannot load this graph"
    assert measured["slower"] == []


def test_what_is_slower_is_said(result, monkeypatch):
    seconds = iter([0.010, 0.020, 0.010, 0.010, 0.028, 0.0205])
    monkeypatch.setattr(w2vc_runtime.bench.measure, "_time", lambda session, inputs: next(seconds))
    monkeypatch.setattr(w2vc_runtime.bench.measure, "SECONDS", SECONDS)
    graphs = tuple(graph for graph in result.manifest.graphs if graph.precision in ("fp32", "int8", "fp16"))
    measured = measure(Bundle(result.bundle, replace(result.manifest, graphs=graphs)))
    assert measured["slower"] == [
        "int8 is slower than fp32 on this machine (provider cpu): 2.8 times as long for 0.5 s"
    ]  # fp16 is faster, and 2 % is no difference


def test_the_summary_says_it_too(result):
    shown = summary(result)
    for precision in PRECISIONS:
        assert re.search(rf"^{precision} latency .*(ms for 1 s|not measured)", shown, re.MULTILINE)
    assert str(result.bundle / "report.html") in shown
    graph = result.manifest.graphs[1]
    kept = (Kept(("a",), "first reason"), Kept(("b", "c"), "second reason"))
    changed = type(graph)(**{**vars(graph), "kept": kept})
    manifest = type(result.manifest)(**{**vars(result.manifest), "graphs": (changed,)})
    shown = summary(ExportResult(**{**vars(result), "manifest": manifest}))
    assert "1 more nodes in fp32: first reason" in shown
    assert "2 more nodes in fp32: second reason" in shown


def test_what_is_rejected_has_a_certificate_that_says_so(tmp_path):
    with pytest.raises(RejectedError):
        export(ExportOptions(tiny(brief=True)[1], budget="difference=1e-12", output=tmp_path / "b"))
    rejected = tmp_path / "b.rejected"
    report = json.loads((rejected / "report.json").read_text())
    assert report["passed"] is False
    assert report["manifest"] is None
    assert report["statement"].startswith("Not published: the graph in fp32 misses its budget")
    page = (rejected / "report.html").read_text()
    assert "✗ Rejected" in page
    assert unproven(page, report) == set()
