"""The page of ``w2vc bench``: plots and a table of what `Sweep.run` gives, in one file that asks for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from . import plots
from .markup import chip, figures, page, section, table

Row = Mapping[str, Any]
DASH = "–"
AIMS = {"latency": "One clip at a time", "throughput": "Most audio a second"}


def render(result: Mapping[str, Any]) -> str:
    """The page. Every number in it but the marks of scales is in the result."""
    timed = [row for row in result["rows"] if row["note"] is None]
    sections = [_recommended(result)]
    if timed:
        sections += [
            _plots(
                "Time for a clip",
                "Median of all runs, features included and text not; both axes are logarithmic.",
                timed,
                ("batch", 1),
                "milliseconds",
                lambda row: row["milliseconds"],
            ),
            _plots(
                "Audio a second",
                "Seconds of audio that are answered for in a second, by the clips computed together.",
                timed,
                ("threads", max(row["threads"] for row in timed)),
                "times real time",
                lambda row: row["times_real_time"],
            ),
            _plots(
                "Memory",
                "The most that the process takes while it runs, weights included.",
                [row for row in timed if row["peak_megabytes"]],
                ("batch", 1),
                "MB",
                lambda row: row["peak_megabytes"],
            ),
        ]
    sections.append(_table(result["rows"]))
    return page(f"{result['name']}: measurements", f"{_header(result)}{''.join(sections)}")


def _header(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    about = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; w2vc {result['w2vc']}"
    warning = f'<p class="note">{escape(result["warning"])}.</p>' if result["warning"] else ""
    return (
        f'<header><p class="eyebrow">Measurements</p><h1>{escape(result["name"])}</h1>'
        f'<p class="soft">{escape(about)}</p>{warning}</header>\n'
    )


def _recommended(result: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{AIMS[aim]}</dt><dd>{chip(each['precision'])}{escape(setting(each))}<br>"
        f"<small>{escape(each['reason'])}.</small></dd>"
        for aim, each in result["recommended"].items()
    )
    body = f"<dl>{items}</dl>" if items else "<p>Nothing could be measured.</p>"
    return section("What to take", "", body)


def setting(row: Mapping[str, Any]) -> str:
    """Provider, precision, threads and batch in words."""
    threads = f"{row['threads']} thread{'' if row['threads'] == 1 else 's'}"
    clips = f", {row['batch']} clips together" if row["batch"] > 1 else ""
    return f"{row['provider']}, {row['precision']}, {threads}{clips}"


def _plots(
    title: str, lead: str, rows: Sequence[Row], only: tuple[str, int], unit: str, value: Callable[[Row], float]
) -> str:
    """One plot for each of the threads, or the batches, that ``only`` leaves. only: a field and what it is to be."""
    field, wanted = only
    other = "threads" if field == "batch" else "batch"
    rows = [row for row in rows if row[field] == wanted] or rows
    drawn = []
    for each in dict.fromkeys(row[other] for row in rows):
        series: dict[str, tuple[str, bool, list[tuple[float, float]]]] = {}
        for row in rows:
            if row[other] == each:
                name = f"{row['provider']} {row['precision']}"
                _, _, points = series.setdefault(name, (row["precision"], row["provider"] != "openvino", []))
                points.append((row["seconds"], value(row)))
        caption = f"{each} {'thread' if other == 'threads' else 'clip'}{'' if each == 1 else 's'}"
        drawn.append((caption, plots.lines(f"{title}, {caption}", unit, series)))
    return section(title, lead, figures(drawn)) if drawn else ""


def _table(rows: Sequence[Row]) -> str:
    header = ["setting", "audio", "time", "shortest", "real time", "spread", "peak memory"]
    shown = []
    for row in rows:
        name = f"{chip(row['precision'])}{escape(setting(row))}"
        if row["note"] is not None:
            note = f'<div class="words">{escape(row["note"])}</div>'
            shown.append([name, f"{row['seconds']:g} s", note, *[DASH] * 4])
            continue
        peak = DASH if row["peak_megabytes"] is None else f"{row['peak_megabytes']} MB"
        times = [f"{row['milliseconds']:g} ms", f"{row['least']:g} ms", f"{row['times_real_time']:g}×"]
        shown.append([name, f"{row['seconds']:g} s", *times, f"{100 * row['spread']:.1f} %", peak])
    lead = "Spread: what lies between the quarters of the runs, of their median."
    return section("All measurements", lead, table(header, shown))
