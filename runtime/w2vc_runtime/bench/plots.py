"""The report's plots: inline SVG, in the colours of the page, readable at the width of a phone.

Each is drawn 360 units wide, about a phone's width, and grows with its column. Labels have columns of their own, so
that none lies on another or on a mark. Marks of a scale have the class ``tick``; every other number is one of the
report's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 360
ROW = 19
LEFT, RIGHT = 146, 54
LONGEST = 22
SMALLEST = 1e-8


def parity(precision: str, cases: Sequence[Mapping[str, Any]], budget: float, decades: tuple[int, int]) -> str:
    """Difference of every case on a logarithmic axis, beside the budget. decades: exponents at the axis' ends."""
    end = WIDTH - RIGHT - 4
    x = _scale(decades, LEFT + 4, end)
    groups = list(dict.fromkeys(case["group"] for case in cases))
    top, body = 30, len(cases) * ROW + len(groups) * ROW
    bottom = top + body + 6
    limit = x(budget)
    parts = [
        _rect(limit, top - 6, WIDTH - RIGHT - limit, body + 12, "over"),
        *_decades(decades, x, top - 6, bottom),
        f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="{top - 6}" y2="{bottom}"/>',
        _text(min(limit, WIDTH - 48), 14, f"budget {difference(budget)}", "limit", "middle"),
    ]
    y = top
    for group in groups:
        parts.append(_text(0, y + 12, f"by {group}", "group"))
        y += ROW
        for case in (case for case in cases if case["group"] == group):
            value = case["difference"]
            at = end if value is None else x(value)
            parts.append(_text(LEFT - 12, y + 10, _short(case["case"]), "", "end"))
            parts.append(f'<line class="row" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y + 6}" y2="{y + 6}"/>')
            parts.append(f'<circle class="{precision}" cx="{at:.1f}" cy="{y + 6}" r="4"/>')
            parts.append(_text(WIDTH, y + 10, difference(value), "value", "end"))
            y += ROW
    title = f"{precision}: difference from PyTorch in each case, relative to the largest value, and the budget"
    return _svg(title, bottom + 18, parts)


def drift(layers: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """RMS difference of each layer's output from fp32's, a line for each precision, on a logarithmic axis."""
    values = [row["difference"] for rows in layers.values() for row in rows if row["difference"]]
    low, high = decades_of(values)
    count = max(len(rows) for rows in layers.values())
    top, bottom, left, right = 12, 196, 34, 262
    step = (right - left) / max(1, count - 1)

    def y(value: float) -> float:
        share = (math.log10(max(value, SMALLEST)) - low) / (high - low)
        return bottom - share * (bottom - top)

    parts = []
    for exponent in range(low, high + 1):
        at = y(10.0**exponent)
        parts.append(f'<line class="row" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_power(left - 6, at + 4, exponent, "end"))
    for index in _few(count):
        parts.append(_text(left + index * step, bottom + 18, str(index + 1), "tick", "middle"))
    parts.append(_text((left + right) / 2, bottom + 34, "layer", "", "middle"))
    ends = []
    for precision, rows in layers.items():
        points = [(left + (row["layer"] - 1) * step, y(row["difference"])) for row in rows if row["difference"]]
        if not points:
            continue
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline class="{precision}" points="{line}"/>')
        if len(points) <= 24:
            parts += [f'<circle class="{precision}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in points]
        last = next(row["difference"] for row in reversed(rows) if row["difference"])
        ends.append((points[-1][1], precision, last))
    at = -math.inf
    for wanted, precision, value in sorted(ends):  # labels beside their ends, not on each other
        at = max(wanted + 4, at + 15)
        parts.append(_text(right + 8, at, f"{precision} {difference(value)}", f"label {precision}"))
    return _svg("Difference of each layer's output from fp32's, relative RMS, by precision", bottom + 42, parts)


def bars(title: str, values: Mapping[str, tuple[float, str]]) -> str:
    """One horizontal bar for each precision: how long, and what to write beside it."""
    largest = max((value for value, _ in values.values()), default=0.0) or 1.0
    left, room = 44, WIDTH - 44 - 112
    parts = []
    for index, (precision, (value, label)) in enumerate(values.items()):
        y = index * 24
        length = max(1.5, room * value / largest)
        parts.append(_text(left - 8, y + 15, precision, "", "end"))
        parts.append(_rect(left, y + 3, length, 16, f"bar {precision}"))
        parts.append(_text(left + length + 7, y + 15, label, "value"))
    return _svg(title, len(values) * 24, parts)


def lines(title: str, unit: str, series: Mapping[str, tuple[str, bool, Sequence[tuple[float, float]]]]) -> str:
    """Values over seconds of audio, a line for each of some series; both axes are logarithmic.

    unit: of the values. series: by name, the class of the line's colour, whether it is dashed, and its points.
    """
    points = [point for _, _, each in series.values() for point in each]
    low, high = decades_of([value for _, value in points])
    seconds = sorted({second for second, _ in points})
    top, bottom, left, right = 26, 210, 40, 222
    first, last = math.log10(seconds[0]), math.log10(seconds[-1])

    def x(second: float) -> float:
        share = (math.log10(second) - first) / (last - first) if last > first else 0.5
        return left + 6 + share * (right - left - 6)

    def y(value: float) -> float:
        return bottom - (math.log10(value) - low) / (high - low) * (bottom - top)

    parts = [_text(0, 12, unit, "tick")]
    for exponent in range(low, high + 1):
        at = y(10.0**exponent)
        parts.append(f'<line class="row" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(left - 6, at + 4, f"{10.0**exponent:g}", "tick", "end"))
    parts += [_text(x(second), bottom + 18, f"{second:g}", "tick", "middle") for second in seconds]
    parts.append(_text((left + right) / 2, bottom + 34, "seconds of audio", "", "middle"))
    ends = []
    for name, (kind, dashed, each) in series.items():
        line = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in each)
        parts.append(f'<polyline class="{kind}{" dashed" if dashed else ""}" points="{line}"/>')
        parts += [f'<circle class="{kind}" cx="{x(s):.1f}" cy="{y(v):.1f}" r="2.5"/>' for s, v in each]
        ends.append((y(each[-1][1]), name, kind))
    at = -math.inf
    for wanted, name, kind in sorted(ends):  # labels beside their ends, not on each other
        at = max(wanted + 4, at + 14)
        parts.append(_text(right + 8, at, name, f"label {kind}"))
    return _svg(title, max(bottom + 42, at + 6), parts)


def decades_of(values: Iterable[float]) -> tuple[int, int]:
    """Exponents of the decades around positive values."""
    logs = [math.log10(max(value, SMALLEST)) for value in values] or [-1.0]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return low, max(high, low + 1)


def difference(value: float | None) -> str:
    """As the report has it."""
    if value is None:
        return "not finite"
    return "0" if value == 0 else f"{value:.1e}"


def _scale(decades: tuple[int, int], left: float, right: float) -> Any:
    low, high = decades

    def place(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return left + min(1.0, share) * (right - left)

    return place


def _decades(decades: tuple[int, int], x: Any, top: float, bottom: float) -> list[str]:
    parts = []
    low, high = decades
    for exponent in range(low, high + 1):
        at = x(10.0**exponent)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}"/>')
        if (high - exponent) % 2 == 0:
            parts.append(_power(at, bottom + 14, exponent, "middle"))
    return parts


def _short(name: str) -> str:
    """The end of a long name: that of a file says more than its beginning."""
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def _few(count: int) -> list[int]:
    """Indices of about six of so many, the last among them."""
    step = max(1, math.ceil(count / 6))
    return list(range(count - 1, -1, -step))[::-1]


def _power(x: float, y: float, exponent: int, anchor: str) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return _text(x, y, "1" if exponent == 0 else f"10{digits}", "tick", anchor)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    classes = f' class="{kind}"' if kind else ""
    return f'<text{classes} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Iterable[str]) -> str:
    name = escape(title)
    return (
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {WIDTH} {height:g}"><title>{name}</title>'
        f"{''.join(parts)}</svg>"
    )
