"""Results as tables: times, ratios with their spread, shares of the machine's limit, and how ours stand."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from .registry import OURS

BASE = ("transformers", "eager")
# Of the median, between the quarters: a median of samples that lie further apart is not to be trusted.
WIDE = 0.1
DASH = "–"
Row = dict[str, Any]


def tables(result: dict[str, Any]) -> str:
    """All of a run, as Markdown."""
    cells = [cell_table(result, cell) for cell in result["cells"]]
    return "\n\n".join([machine_lines(result), *cells, made_table(result)])


def machine_lines(result: dict[str, Any]) -> str:
    """The command, the machine, and what that can do at most."""
    device = result["device"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        f"`{result['command']}`, {result['date']}: {device['processor']}, {device['cores']} cores, "
        f"{device['memory'] / 1e9:.0f} GB, load before {result['load']:.1f}; {versions}.",
        "",
    ]
    for threads, floor in result["floor"].items():
        rates = ", ".join(f"{precision} {rate / 1e12:.2f}" for precision, rate in floor["rates"].items())
        lines.append(
            f"The machine's best with {threads} threads: products, 10^12 operations a second: {rates}; "
            f"copying {floor['copy'] / 1e9:.0f} GB/s."
        )
    return "\n".join(lines)


def cell_table(result: dict[str, Any], cell: Row) -> str:
    """One model, length and number of threads: engines from the fastest to the slowest, and those that failed."""
    floor = result["floor"][str(cell["threads"])]
    base = next((row for row in cell["rows"] if (row["peer"], row["variant"]) == BASE and timed(row)), None)
    lines = [
        f"### {cell['model']}, {cell['layers']} layers, {cell['cell']}, {cell['threads']} threads",
        "",
        "| engine | precision | median | least | spread | of eager | difference | same tokens | of the limit |",
        "|---" * 9 + "|",
    ]
    good = sorted((row for row in cell["rows"] if timed(row)), key=median)
    for row in good:
        shown = [
            f"{row['peer']} {row['variant']}",
            row["precision"],
            f"{1000 * median(row):.0f} ms",
            f"{1000 * min(row['samples']):.0f} ms",
            f"{100 * spread(row['samples']):.0f} %{' (wide)' if spread(row['samples']) > WIDE else ''}",
            DASH if base is None else ratio(row, base),
            f"{row['difference']:.1e}" if "difference" in row else "a text",
            f"{100 * row['agreement']:.1f} %" if "agreement" in row else DASH,
            f"{100 * limit(cell, row['precision'], floor) / median(row):.0f} %",
        ]
        lines.append(f"| {' | '.join(shown)} |")
    for row in cell["rows"]:
        if not timed(row):
            lines.append(f"| {row['peer']} {row['variant']} | {row['precision']} | {row['problem']} |" + " |" * 6)
    return "\n".join([*lines, "", *standing(good)])


def standing(rows: Sequence[Row]) -> list[str]:
    """How ours stand beside the best peers: ratios of medians, with their spread over the rounds."""
    ours = [row for row in rows if row["peer"] == OURS]
    peers = [row for row in rows if row["peer"] != OURS]
    plain = [row for row in peers if row["peer"] == "onnxruntime" and row["precision"] == "fp32"]
    in_onnxruntime = [row for row in ours if row["variant"].startswith("cpu")]
    alone = [row for row in ours if row["variant"].endswith("one at a time")]
    together = [row for row in ours if f"{row['variant']}, one at a time" in {each["variant"] for each in alone}]
    questions: list[tuple[str, list[Row], list[Row]]] = [
        ("fp32, best of ours beside the best peer", of(ours, "fp32"), of(peers, "fp32")),
        ("any precision, best of ours beside transformers eager", ours, [r for r in peers if r["variant"] == "eager"]),
        ("fp32 in ONNX Runtime beside the plain export", of(in_onnxruntime, "fp32"), plain),
        ("int8 in ONNX Runtime beside the plain export in fp32", of(in_onnxruntime, "int8"), plain),
    ]
    if alone:
        questions += [
            (f"a batch of ours beside its clips one at a time, {row['variant']}", [row], [other])
            for row in together
            for other in alone
            if other["variant"].startswith(f"{row['variant']},")
        ]
    if peers:
        best = min(peers, key=median)
        near = [row for row in ours if row.get("difference", 9.0) <= best.get("difference", 0.0)]
        questions.insert(1, ("any precision, best of ours beside the best peer", ours, peers))
        questions.insert(2, ("any precision, best of ours that is no further from PyTorch than it", near, [best]))
    return [f"- {question}: {compared(*sides)}" for question, *sides in questions]


def compared(ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    """The fastest of the one beside the fastest of the other."""
    if not ours or not theirs:
        return "nothing to compare"
    a, b = min(ours, key=median), min(theirs, key=median)
    return f"{ratio(a, b)}, {a['variant']} beside {b['peer']} {b['variant']}"


def ratio(row: Row, other: Row) -> str:
    """Of medians; in brackets the quarters of the ratios of each round."""
    each = sorted(a / b for a, b in zip(row["samples"], other["samples"]))
    low, high = quarters(each)
    return f"{median(row) / median(other):.2f} ({low:.2f}–{high:.2f})"


def made_table(result: dict[str, Any]) -> str:
    """What making a model takes, and starting one; as the first cell saw it."""
    lines = [
        "### Making and starting",
        "",
        "Made: a checkpoint converted, in a process of its own, and its most memory. Imported, loaded, first answer: a "
        "process from nothing, files in the system's cache. Resident: after the last run, beside the bytes of the fp32 "
        "weights. Installed: the packages that the process had loaded.",
        "",
        "| model | engine | made | most memory | imported | loaded | first answer | resident | installed |",
        "|---" * 9 + "|",
    ]
    models = {(each["model"], each["layers"]): each for each in result["models"]}
    seen = set()
    for cell in result["cells"]:
        model = models[cell["model"], cell["layers"]]
        for row in cell["rows"]:
            key = (cell["model"], cell["layers"], row["peer"], row["variant"])
            if "load" not in row or key in seen:
                continue
            seen.add(key)
            making = model["made"].get(row["made"], {}) if row["made"] else {}
            shown = [
                f"{cell['model']}, {cell['layers']}",
                f"{row['peer']} {row['variant']}",
                f"{making['wall']:.0f} s" if "wall" in making else DASH,
                f"{making['peak'] / 1e9:.1f} GB" if "peak" in making else DASH,
                f"{row['import']:.2f} s",
                f"{row['load']:.2f} s",
                f"{row['cold']:.2f} s",
                f"{row['resident'] / model['weights']:.2f} of the weights" if "resident" in row else DASH,
                f"{row['installed'] / 1e6:.0f} MB",
            ]
            lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def limit(cell: Row, precision: str, floor: Row) -> float:
    """Seconds that the machine takes at least: products at their best rate, or bytes at that of a copy."""
    return max(cell["operations"] / floor["rates"][precision], cell["bytes"][precision] / floor["copy"])


def of(rows: Sequence[Row], precision: str) -> list[Row]:
    return [row for row in rows if row["precision"] == precision]


def timed(row: Row) -> bool:
    return "problem" not in row and bool(row.get("samples"))


def median(row: Row) -> float:
    return statistics.median(row["samples"])


def spread(samples: Sequence[float]) -> float:
    """Between the quarters, of the median."""
    low, high = quarters(sorted(samples))
    return (high - low) / statistics.median(samples)


def quarters(values: Sequence[float]) -> tuple[float, float]:
    at: Callable[[float], float] = lambda share: values[round(share * (len(values) - 1))]  # noqa: E731
    return at(0.25), at(0.75)
