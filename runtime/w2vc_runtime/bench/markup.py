"""What the pages that w2vc writes are made of: sections, tables and figures, in one file that asks for nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .style import STYLE

# Tables of as many columns do not fit a phone: there they say that they scroll.
WIDE_COLUMNS = 6


def page(title: str, body: str) -> str:
    """A whole page. body: HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, lead: str, body: str) -> str:
    """A box with a heading. lead: text, what it is about. body: HTML."""
    about = f'<p class="soft">{escape(lead)}</p>' if lead else ""
    return f"<section><h2>{title}</h2>{about}{body}</section>\n"


def listing(rows: Mapping[str, str]) -> str:
    """Texts by their names."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows.items())}</dl>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """header: texts. rows: cells, which are HTML."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    wide = "wide scrolls" if len(header) >= WIDE_COLUMNS else "wide"
    return f'<div class="{wide}" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figures(plots: Sequence[tuple[str, str]]) -> str:
    """Captions and SVG, side by side where there is room."""
    return f'<div class="plots">{"".join(_figure(*each) for each in plots)}</div>'


def _figure(caption: str, plot: str) -> str:
    return f"<figure>{f'<figcaption>{escape(caption)}</figcaption>' if caption else ''}{plot}</figure>"


def named(precision: str) -> str:
    """A precision and its colour."""
    return f"{chip(precision)}{precision}"


def chip(precision: str) -> str:
    """The colour of a precision."""
    return f'<span class="chip {precision}"></span>'


def prose(text: str) -> str:
    """Text whose numbers do not break, at the sign of their exponent or before their unit."""
    return re.sub(r"\d[\d.]*(?:e-\d+| %)", r'<span class="number">\g<0></span>', escape(text))
