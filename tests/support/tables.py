"""Small tables as CSV files, made by rule."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LABELLED", "NEW", "write_tables"]

LABELLED = "people.csv"
NEW = "new.csv"
TOWNS = ("NA", "Bern", "Oslo", "Rome")


def write_tables(folder: Path, rows: int = 60) -> None:
    """Write `people.csv`, with numbers, a gap, categories, dates, ids with zeros, "NA" as a text, a class and
    a number to predict; and `new.csv` with other rows, without these two."""
    lines = [_cells(i) for i in range(rows + 7)]
    head = "customer,age,town,joined,zip"
    labelled = [f"{line},{_outcome(i)},{_price(i)}" for i, line in enumerate(lines[:rows])]
    labelled.insert(0, f"{head},outcome,price")
    new = [f"{head},extra", *(f"{line},x" for line in lines[rows:])]
    (folder / LABELLED).write_text("\n".join(labelled) + "\n")
    (folder / NEW).write_text("\n".join(new) + "\n")


def _cells(i: int) -> str:
    age = "" if i % 11 == 5 else str(20 + i * 7 % 50)
    return f"{i:05d},{age},{TOWNS[i % 4]},2024-{1 + i % 12:02d}-{1 + i % 28:02d},{7 * (i % 3):04d}"


def _outcome(i: int) -> str:
    return "stays" if i * 7 % 50 > 25 else "leaves"


def _price(i: int) -> float:
    return 100.0 + 3 * (i * 7 % 50) + (i % 4)
