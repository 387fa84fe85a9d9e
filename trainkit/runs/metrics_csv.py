"""The file `metrics.csv` of a run: one row per epoch.

Its columns are `epoch, step, train/<metric>, ..., val/<metric>, ..., learning_rate, seconds`. A metric may
have any name: cells are quoted where CSV asks for it.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError
from trainkit.core.files import replacing_file, write_bytes
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
    try:
        rows = list(csv.DictReader(io.StringIO(complete, newline="")))
    except csv.Error:  # a cell of a megabyte
        return []
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
    Rows that cannot be written, as where the disk is full, are warned of and written with a later one.

    Args:
        path: The file.
        columns: Its columns, in order.
        keep_until: Rows of later epochs are dropped: they are about to be trained again.

    Raises:
        UserError: if the file cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, keep_until: int = 0) -> None:
        self.path = path
        found = read_rows(path)
        kept = [row for row in found if int(row["epoch"]) <= keep_until]
        last = max((int(row["epoch"]) for row in kept), default=0)
        if path.is_file() and (len(found) < _lines(path) - 1 or last < keep_until):
            copy = path.with_name(f"{path.name}.damaged")
            with replacing_file(copy) as beside:
                beside.write_bytes(path.read_bytes())
            lost = f", without epochs {last + 1} to {keep_until}" if last < keep_until else ""
            warnings.warn(f"{path} is damaged; it is kept as {copy.name}, and made anew{lost}.", stacklevel=2)
        elif keep_until and not path.exists() and path.with_name("checkpoints").is_dir():
            warnings.warn(f"{path} is not there; it begins after epoch {keep_until}.", stacklevel=2)
        self._names = list(dict.fromkeys([*columns, *(name for row in kept[:1] for name in row)]))
        self._late: list[Mapping[str, Any]] = []
        self._file = -1
        self._rewrite(kept)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row, by column; cells that it lacks stay empty."""
        try:
            if self._late:
                self._write_late()
            line = _text(self._names, [row])
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except (OSError, UserError) as error:
            if not self._late:
                warnings.warn(f"Cannot write {self.path}: {error}. The training goes on.", stacklevel=2)
            self._late.append(row)

    def close(self) -> None:
        """Close the file; safe to call twice.

        Raises:
            UserError: if rows could not be written to the end.
        """
        try:
            if self._late:
                self._write_late()
        finally:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _write_late(self) -> None:
        late, self._late = self._late, []
        try:
            os.close(self._file)
            self._file = -1
            self._rewrite([*read_rows(self.path), *late])
        except UserError:
            self._late = late
            raise

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        header = dict(zip(self._names, self._names, strict=True))
        with replacing_file(self.path) as beside:
            write_bytes(beside, [_text(self._names, [header, *rows])])
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writerows(rows)
    return file.getvalue().encode()


def _lines(path: Path) -> int:
    """Complete lines of a file."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _is_complete(row: Mapping[Any, Any]) -> bool:
    """Whether a row has an epoch, numbers, and as many cells as the header; `DictReader` marks the others by
    None."""
    if None in row or None in row.values() or not (row.get("epoch") or "").isdigit():
        return False
    try:
        for name, cell in row.items():
            if cell and (name == "step" or "/" in name):
                float(cell)
    except ValueError:
        return False
    return True
