"""HTML with everything escaped, and the frame of a page: style, data and scripts in one file."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from trainkit.core.figures import NOTHING
from trainkit.core.files import plain_json

__all__ = ["Markup", "data", "details", "element", "figures", "page", "picture", "section", "table"]

# Nothing may be fetched, whatever a name or a text of the data says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


class Markup(str):
    """Text that is HTML already, and is not escaped again."""


def element(tag: str, *content: Any, **attributes: Any) -> Markup:
    """`<tag attribute="...">content</tag>`; content that is no `Markup` is escaped.

    Example:
        >>> element("td", "a < b", class_="number")
        '<td class="number">a &lt; b</td>'
    """
    named = {
        key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None
    }
    words = "".join(f' {key}="{html.escape(str(value), quote=True)}"' for key, value in named.items())
    inside = "".join(_escaped(part) for part in content)
    return Markup(f"<{tag}{words}>{inside}</{tag}>")


def section(title: str, *content: Any) -> Markup:
    """A part of the page under a title; nothing if it is empty."""
    if not any(content):
        return Markup("")
    return element("section", element("h2", title), *content)


def details(title: str, *content: Any) -> Markup:
    """What is shown on demand."""
    return element("details", element("summary", title), *content)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], class_: str | None = None) -> Markup:
    """A table of texts that are formatted already, or `Markup`; below a header, numbers stand right."""
    lines = [list(row) for row in rows]
    numeric = [_is_number_column(lines, i) for i in range(len(header))]
    head = ""
    if header:
        titles = zip(header, numeric, strict=True)
        cells = [element("th", name, class_="number" if right else None) for name, right in titles]
        head = element("thead", element("tr", *cells))
    body = []
    for line in lines:
        stands_right = [i < len(numeric) and numeric[i] and _is_figure(cell) for i, cell in enumerate(line)]
        row = zip(line, stands_right, strict=True)
        body.append(
            element("tr", *(element("td", cell, class_="number" if right else None) for cell, right in row))
        )
    return element(
        "div", element("table", Markup(head), element("tbody", *body), class_=class_), class_="scroll"
    )


def figures(entries: Iterable[tuple[str, str]]) -> Markup:
    """Large values with what they are, in boxes."""
    boxes = [
        element("div", element("b", value), element("span", name), class_="figure") for name, value in entries
    ]
    return element("div", *boxes, class_="figures")


def picture(name: str, png: bytes) -> Markup:
    """A picture inside the page."""
    source = "data:image/png;base64," + base64.b64encode(png).decode()
    return Markup(f'<p><img alt="{html.escape(name, quote=True)}" src="{source}"></p>')


def data(name: str, content: Any) -> Markup:
    """Data for a script, as JSON that no text inside can end."""
    text = json.dumps(plain_json(content), allow_nan=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Markup(f'<script type="application/json" id="{html.escape(name)}">{safe}</script>')


def page(title: str, *content: Any, scripts: Sequence[str], refresh: int | None = None) -> str:
    """A whole page.

    Args:
        title: Of the window.
        content: Its parts.
        scripts: Names of scripts of this folder, in order.
        refresh: Seconds after which a browser reads it again; None: never.
    """
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        *([f'<meta http-equiv="refresh" content="{refresh}">'] if refresh else []),
        element("title", title),
        Markup(f"<style>{_file('style.css')}</style>"),
    ]
    body = "".join(_escaped(part) for part in content)
    code = "".join(f"<script>{_file(name)}</script>" for name in scripts)
    return f'<!doctype html>\n<html lang="en"><head>{"".join(head)}</head><body>{body}{code}</body></html>\n'


def _escaped(part: Any) -> str:
    if part is None:
        return ""
    return part if isinstance(part, Markup) else html.escape(str(part))


def _file(name: str) -> str:
    return resources.files("trainkit.reporting").joinpath(name).read_text(encoding="utf-8")


def _is_figure(cell: Any) -> bool:
    """Whether a formatted cell is a number, or the sign that there is none."""
    return cell == NOTHING or _is_number(cell)


def _is_number(cell: Any) -> bool:
    """Whether a formatted cell is a number."""
    text = str(cell).strip().replace(",", "")
    if not text:
        return False
    try:
        float(text.partition(" ±")[0])
    except ValueError:
        return False
    return True


def _is_number_column(lines: Sequence[Sequence[Any]], index: int) -> bool:
    return any(index < len(line) and _is_number(line[index]) for line in lines)
