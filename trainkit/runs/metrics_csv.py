"""The file `metrics.csv` of a run: one row per epoch.

Its columns are `epoch, step, train/<metric>, ..., val/<metric>, ..., learning_rate, seconds`. A metric may
have any name: cells are quoted where CSV asks for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainkit.core.files import replacing_file
from trainkit.core.logs import column, keras_name

__all__ = ["MetricsTable", "columns", "curves", "logged_values", "read_rows"]


def columns(logged: Iterable[str], extra: Iterable[str] = ()) -> list[str]:
    """The columns for the values that a training logs, given by Keras's names; `extra` columns come last."""
    return ["epoch", "step", *map(column, logged), "learning_rate", "seconds", *extra]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The complete rows of a `metrics.csv`, by column; none if there is no such file.

    A last line without its end, which a crash may leave, is left out.
    """
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8", errors="replace")
    complete = text[: text.rfind("\n") + 1]
    rows = list(csv.DictReader(io.StringIO(complete, newline="")))
    return [row for row in rows if _is_complete(row)]


def logged_values(row: Mapping[str, str]) -> dict[str, float]:
    """The logged values of a row by Keras's names, without empty cells: `{"loss": 0.5, "val_loss": 0.6}`."""
    return {keras_name(name): float(cell) for name, cell in row.items() if "/" in name and cell}


def curves(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[list[int], list[float]]]:
    """Each logged value over the epochs, by Keras's name: the epochs that have it, and its values."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        for name, value in logged_values(row).items():
            epochs, values = found.setdefault(name, ([], []))
            epochs.append(int(row["epoch"]))
            values.append(value)
    return found


class MetricsTable:
    """Writes a `metrics.csv`, row by row.

    Rows of an earlier process are kept as far as the training continues from them, with all their columns.
    Each row is handed to the system at once, which takes microseconds: no checkpoint is ahead of the rows.

    Args:
        path: The file.
        columns: Its columns, in order.
        keep_until: Rows of later epochs are dropped: they are about to be trained again.

    Raises:
        UserError: if the file cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, keep_until: int = 0) -> None:
        kept = [row for row in read_rows(path) if int(row["epoch"]) <= keep_until]
        names = list(dict.fromkeys([*columns, *(name for row in kept[:1] for name in row)]))
        with replacing_file(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
            writer = _writer(file, names)
            writer.writeheader()
            writer.writerows(kept)
        self._file = path.open("a", encoding="utf-8", newline="", buffering=1)
        self._writer = _writer(self._file, names)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row, by column; cells that it lacks stay empty."""
        self._writer.writerow(row)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


def _writer(file: Any, columns: Sequence[str]) -> csv.DictWriter[str]:
    return csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")


def _is_complete(row: Mapping[Any, Any]) -> bool:
    """Whether a row has an epoch and as many cells as the header; `DictReader` marks the others by None."""
    return (row.get("epoch") or "").isdigit() and None not in row and None not in row.values()
