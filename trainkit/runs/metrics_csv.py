"""Observers that keep the curves of a run: `metrics.csv`, and pictures of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a `metrics.csv`; a last line without its end is left out."""
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.DictReader(io.StringIO(whole)))
    return [
        row
        for row in rows
        if (row.get("epoch") or "").isdigit() and None not in row.values() and None not in row
    ]
