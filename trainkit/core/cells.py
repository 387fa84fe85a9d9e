"""Cells of tables: as other programs open them, and as a message shows them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["csv_text", "no_formula", "printed", "quoted"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins for a spreadsheet
WIDTH = 60  # of a value in a message


def no_formula(cell: Any) -> Any:
    """A cell; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def csv_text(columns: Mapping[str, Sequence[Any]], *, header: bool = True) -> str:
    """A table `{name: cells}` as CSV, the names first; no text in it is a formula for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [tuple(columns)] if header else []
    writer.writerows(map(no_formula, row) for row in (*names, *zip(*columns.values(), strict=True)))
    return text.getvalue()


def printed(value: Any, width: int = WIDTH) -> str:
    """A value as one short line: line breaks and the like are escaped, and what is too long is cut."""
    text = str(value)
    cut = text if len(text) <= width else f"{text[: width - 3]}..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)


def quoted(value: Any) -> str:
    """A value for a message, in quotes: one short line."""
    text = str(value)
    return repr(text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}...")
