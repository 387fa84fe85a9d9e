"""Cells of tables that other programs open."""

from __future__ import annotations

from typing import Any

__all__ = ["no_formula"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins for a spreadsheet


def no_formula(cell: Any) -> Any:
    """A cell; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
