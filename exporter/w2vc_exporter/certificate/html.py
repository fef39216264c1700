"""``report.html``: the report for people, in one file that asks the network for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from w2vc_runtime.bench import plots
from w2vc_runtime.bench.markup import chip, figures, listing, named, page, prose, section, table
from w2vc_runtime.bench.plots import difference
from w2vc_runtime.verify.verdict import percent_text

Report = Mapping[str, Any]
DASH = "–"
RECORDINGS_SHOWN = 10


def render(report: Report) -> str:
    """The page of a report. Every number in it but the marks of scales is in the report."""
    sections = "".join(filter(None, (make(report) for make in SECTIONS)))
    body = f"{_header(report)}{_cards(report)}{sections}{_footer(report)}"
    return page(f"{report['name']}: verification report", body)


def _header(report: Report) -> str:
    model = report["model"]
    state, kind = ("✓ Verified", "passed") if report["passed"] else ("✗ Rejected", "failed")
    about = f"{model['family']}, {model['position']} positions, head {model['head']}"
    return (
        f'<header><p class="eyebrow">Verification report</p><h1>{escape(report["name"])}</h1>'
        f'<p class="soft">{escape(about)}</p>'
        f'<div class="verdict {kind}"><b>{state}</b> <span>{prose(report["statement"])}</span></div></header>\n'
    )


def _cards(report: Report) -> str:
    cards = []
    for precision, each in report["precisions"].items():
        rows = {"allowed": difference(each["budget"]["difference"])}
        if each["same_percent"] is not None:
            rows["same choices"] = percent_text(each["same_percent"])
        rows["size"] = _megabytes(each["megabytes"])
        for row in report["measured"]["precisions"][precision]["lengths"][-1:]:
            rows[f"time for {row['seconds']:g} s of audio"] = _milliseconds(row["milliseconds"])
        cards.append(
            f'<div class="card {precision}"><header><span>{precision}</span>{_state(each["passed"])}</header>'
            f'<div class="big">{difference(each["difference"])}</div><small>worst difference</small>'
            f"{listing(rows)}</div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>\n'


def _verdicts(report: Report) -> str:
    items = []
    for precision, each in report["precisions"].items():
        more = "".join(f"<br><small>{prose(problem)}</small>" for problem in each["problems"][1:])
        items.append((f"{chip(precision)}{precision}", f"{_state(each['passed'])}: {prose(each['statement'])}{more}"))
    against = report["verified_against"]
    body = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in items)
    compared = f"Compared with {against['reference']}, on {against['material']}."
    lead = f"{compared} A difference is relative to the largest value."
    return section("Verdict", lead, f"<dl>{body}</dl>")


def _model(report: Report) -> str:
    model, features = report["model"], report["model"]["features"]
    rows = {
        "family": model["family"],
        "head": model["head"],
        "positions": model["position"],
        "encoder": f"{model['layers']} layers, {model['width']} channels",
        "parameters": f"{model['parameters']:,}".replace(",", "\u202f"),
        "features": f"{features['kind']} ({features['extractor']}), {features['sampling_rate']} Hz",
        "padding": model["padding"],
        "inputs": ", ".join(model["inputs"]),
        "outputs": ", ".join(model["outputs"]),
        "time axes": ", ".join(
            f"{axis} every {step:g} ms" for axis, step in model["frame_milliseconds"].items()
        ) or DASH,
        "shortest clip": f"{model['shortest_milliseconds']:g} ms",
        "checkpoint": str(report["source"].get("name")),
    }  # fmt: skip
    hashed = f"<dt>its sha256</dt><dd><code>{escape(str(report['source'].get('sha256')))}</code></dd>"
    return section("Model and recipe", "", listing(rows).replace("</dl>", f"{hashed}</dl>"))


def _parity(report: Report) -> str:
    precisions = report["precisions"]
    values = [case["difference"] for each in precisions.values() for case in each["cases"] if case["difference"]]
    indices = _shown(precisions)
    decades = plots.decades_of([*values, *(each["budget"]["difference"] for each in precisions.values())])
    drawn = [
        (
            precision,
            plots.parity(precision, [each["cases"][index] for index in indices], each["budget"]["difference"], decades),
        )
        for precision, each in precisions.items()
    ]
    names = [case["case"] for case in next(iter(precisions.values()))["cases"]]
    rows = [
        [escape(name), *(difference(each["cases"][index]["difference"]) for each in precisions.values())]
        for index, name in enumerate(names)
        if index in indices
    ]
    shown = table(["case", *precisions], rows)
    lead = (
        "Largest difference from PyTorch in each case, on a logarithmic axis: single clips below, at and above the "
        "traced length, batches with and without padding, and clips of other loudness; of recordings, those that "
        "differ the most."
    )
    return section("Parity", lead, f"{figures(drawn)}<details><summary>As a table</summary>{shown}</details>")


def _shown(precisions: Mapping[str, Any]) -> list[int]:
    """Indices of the cases of noise, and of as many recordings as a page can show."""
    cases = next(iter(precisions.values()))["cases"]

    def size(index: int) -> float:
        differences = [each["cases"][index]["difference"] for each in precisions.values()]
        return float("inf") if None in differences else max(differences)

    recorded = sorted((index for index, case in enumerate(cases) if case["recorded"]), key=size, reverse=True)
    hidden = {*recorded[RECORDINGS_SHOWN:]}
    return [index for index in range(len(cases)) if index not in hidden]


def _choices(report: Report) -> str:
    rows = [
        [
            named(precision), f"{each['same']} of {each['choices']}", percent_text(each["same_percent"]),
            f"{each['budget']['same_percent']:g} %",
        ]
        for precision, each in report["precisions"].items()
        if each["choices"]
    ]  # fmt: skip
    if not rows:
        return section("Agreement", "This head makes no choices: its outputs are numbers.", "")
    lead = "How many best tokens, classes or codevectors are those that PyTorch chose, over all frames of all cases."
    if any(case["recorded"] for each in report["precisions"].values() for case in each["cases"]):
        lead += " The share is that of the noise or that of the recordings, the lower of them."
    return section("Agreement", lead, table(["precision", "same", "share", "required"], rows))


def _sessions(report: Report) -> str:
    rows = [
        [
            f'<div class="words">{named(precision)}, {escape(run["session"])}</div>', difference(run["difference"]),
            DASH if run["same_percent"] is None else percent_text(run["same_percent"]),
            '<span class="yes">✓</span>' if run["passed"] else '<span class="no">✗</span>',
        ]
        for precision, each in report["precisions"].items()
        for run in each["sessions"]
    ]  # fmt: skip
    lead = (
        "What ran each graph, and what came of it; the worst of them counts. ONNX Runtime's CPU kernels compute half "
        "precision in float32: where every rounding is computed, the result is what other hardware gives."
    )
    return section("Runs", lead, table(["run by", "worst difference", "same choices", "passed"], rows))


def _layers(report: Report) -> str:
    """The drift, which is as wide as half of the page, beside the choices."""
    drift = _drift(report)
    return f'<div class="pair">{drift}{_choices(report)}</div>\n' if drift else _choices(report)


def _drift(report: Report) -> str:
    layers = {precision: each["layers"] for precision, each in report["precisions"].items() if each["layers"]}
    if not any(row["difference"] for rows in layers.values() for row in rows):
        return ""
    lead = "RMS of the difference from fp32, relative to that of fp32's own output, on one clip of about three seconds."
    count = max(map(len, layers.values()))
    rows = [
        [str(layer), *(difference(each[layer - 1]["difference"]) for each in layers.values())]
        for layer in range(1, count + 1)
    ]
    shown = table(["layer", *layers], rows)
    body = f"{figures([('', plots.drift(layers))])}<details><summary>As a table</summary>{shown}</details>"
    return section("Drift, layer by layer", lead, body)


def _audio(report: Report) -> str:
    rows = [
        [
            named(precision), audio["clips"], f"{audio['seconds']:g} s", audio["words"],
            percent_text(audio["reference_error_percent"]), percent_text(audio["error_percent"]),
        ]
        for precision, each in report["precisions"].items()
        if (audio := each["audio"])
    ]  # fmt: skip
    if not rows:
        return ""
    header = ["precision", "clips", "audio", "words", "PyTorch's error rate", "its error rate"]
    return section("Word error rates", "On the recordings that the export was given.", table(header, rows))


def _cost(report: Report) -> str:
    measured = report["measured"]["precisions"]
    machine = report["measured"]["machine"]
    lead = (
        f"Size on disk; and on this machine ({machine['processor']}, {machine['cores']} cores, {machine['system']}) "
        "the median time of a run of the graph on one clip, and the memory of the process beyond what it had before."
    )
    notes = "".join(f'<p class="note">{escape(sentence)}.</p>' for sentence in report["measured"]["slower"])
    sizes = {
        precision: (each["megabytes"], _megabytes(each["megabytes"]) + _ratio(each["size_ratio"], precision))
        for precision, each in report["precisions"].items()
    }
    drawn = [("Size", plots.bars("Size on disk by precision", sizes))]
    for seconds in dict.fromkeys(row["seconds"] for each in measured.values() for row in each["lengths"]):
        times = {
            precision: (row["milliseconds"], _milliseconds(row["milliseconds"]) + _ratio(row["ratio"], precision))
            for precision, each in measured.items()
            for row in each["lengths"]
            if row["seconds"] == seconds
        }
        title = f"Time for {seconds:g} s of audio"
        drawn.append((title, plots.bars(f"{title} by precision", times)))
    rows = [
        [
            named(precision), escape(each["provider"]), f"{row['seconds']:g} s", _milliseconds(row["milliseconds"]),
            DASH if row["ratio"] is None else f"{row['ratio']}×", f"{row['times_real_time']:g}×",
            DASH if row["peak_megabytes"] is None else _megabytes(row["peak_megabytes"]),
        ]
        for precision, each in measured.items()
        for row in each["lengths"]
    ]  # fmt: skip
    header = ["precision", "provider", "audio", "time", "of fp32's", "real time", "peak memory"]
    absent = "".join(
        f'<p class="soft">{chip(precision)}{precision}: {escape(each["note"])}.</p>'
        for precision, each in measured.items()
        if each["note"]
    )
    return section("Size, latency, memory", lead, f"{notes}{figures(drawn)}{absent}{table(header, rows)}")


def _kept(report: Report) -> str:
    parts = []
    for precision, each in report["precisions"].items():
        if not each["kept_fp32"] and not each["kept"]:
            continue
        counts = ", ".join(f"{count} {operator}" for operator, count in each["kept_fp32"].items())
        parts.append(f"<h3>{chip(precision)}{precision}</h3>")
        if counts:
            parts.append(f"<p>{escape(counts)}</p>")
        for kept in each["kept"]:
            nodes = " ".join(f"<code>{escape(node)}</code>" for node in kept["nodes"])
            parts.append(f"<details><summary>{escape(kept['reason'])}</summary>{nodes}</details>")
    if not parts:
        return ""
    lead = (
        "Operators of the reduced graphs that compute in fp32: normalisation, softmax and position angles by "
        "rule, and what the budget asked for, with the reason."
    )
    return section("Kept in fp32", lead, "".join(parts))


def _made(report: Report) -> str:
    tools = listing(report["tools"])
    rows = [
        [escape(name), str(entry["bytes"]), f"<code>{entry['sha256']}</code>"]
        for name, entry in report["files"].items()
    ]
    hashes = f"<details><summary>Files and their sha256</summary>{table(['file', 'bytes', 'sha256'], rows)}</details>"
    return section("Versions and hashes", "", tools + hashes)


SECTIONS = (_verdicts, _sessions, _model, _parity, _layers, _audio, _cost, _kept, _made)


def _footer(report: Report) -> str:
    bound = f"It belongs to the manifest with sha256 <code>{report['manifest']}</code>." if report["manifest"] else ""
    return (
        f"<footer>Made {escape(report['created'])}. {bound} Every number here is in <code>report.json</code>; "
        "<code>w2vc verify</code> proves the bundle again on another machine.</footer>"
    )


def _state(passed: bool) -> str:
    return '<span class="yes">✓ passed</span>' if passed else '<span class="no">✗ failed</span>'


def _megabytes(value: float) -> str:
    return f"{value:g} MB"


def _milliseconds(value: float) -> str:
    return f"{value:g} ms"


def _ratio(ratio: float | None, precision: str) -> str:
    return "" if ratio is None or precision == "fp32" else f" ({ratio}×)"
