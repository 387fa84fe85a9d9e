"""Splits kept as row numbers in a JSON file. It counts rows from 0, as programs do; messages say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainkit.core.datasets import SPLITS
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.files import read_json, write_json

__all__ = ["Rows", "read_rows", "write_rows"]

# Row numbers of each split, ascending; `train` always, the others if they have rows.
Rows = dict[str, np.ndarray]


def read_rows(path: Path | str, rows: int) -> Rows:
    """The row numbers of each split from a JSON file: `{"train": [0, 2], "test": [1]}`, counted from 0.

    Args:
        path: The file. Without `train`, all rows that it does not name train.
        rows: Number of rows of the data.

    Raises:
        UserError: if the file cannot be read, names a row twice, or leaves one out.
    """
    if not path or not Path(path).is_file():
        raise UserError(f"data.split_file={path} does not exist; expected a JSON file with row numbers.")
    content = read_json(path)
    for name in content:
        if name not in SPLITS:
            raise UserError(f"{path}: {name!r} is no split; {did_you_mean(name, SPLITS)}")
    parts = {name: _row_numbers(path, name, content[name], rows) for name in SPLITS if name in content}
    counts = np.bincount(np.concatenate([*parts.values(), []]).astype(np.int64), minlength=rows)
    if counts.max(initial=0) > 1:
        raise UserError(
            f"{path} names row {counts.argmax()} twice, counted from 0; expected each row in one split."
        )
    rest = np.flatnonzero(counts == 0)
    if "train" not in parts:
        parts = {"train": rest, **parts}
    elif len(rest):
        raise UserError(
            f"{path} leaves out {len(rest)} of {rows} rows, the first is row {rest[0]}, counted from 0."
        )
    if len(parts["train"]) == 0:
        raise UserError(f"{path} leaves no training rows.")
    return {name: numbers for name, numbers in parts.items() if len(numbers)}


def write_rows(path: Path | str, splits: Rows) -> None:
    """Write the row numbers of each split as `read_rows` reads them."""
    write_json(path, splits)


def _row_numbers(path: Path | str, name: str, numbers: object, rows: int) -> np.ndarray:
    array = np.asarray(numbers)
    if array.ndim != 1 or not (array.dtype.kind == "i" or array.size == 0):
        raise UserError(f"{path}: {name} holds {str(numbers)[:40]}; expected a list of row numbers.")
    array = array.astype(np.int64)
    if array.size and not 0 <= array.min() <= array.max() < rows:
        hint = " If it counts from 1, subtract 1 from each." if array.max() == rows and array.min() else ""
        raise UserError(
            f"{path}: {name} goes from row {array.min()} to {array.max()}; expected 0 to {rows - 1}, since "
            f"the data have {rows} rows, and this file counts them from 0.{hint}"
        )
    return np.sort(array)
