"""Reading `.npz` files whose contents are described beforehand: what does not fit the description is refused in one line."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.errors import UserError


@dataclass(frozen=True)
class Column:
    """What one array of a file must be.

    Args:
        shape: Size of each axis; a name instead of a number takes any size >= 1, the same wherever the name stands in the file.
        dtype: NumPy type, or a family of them such as `np.integer`.
        low: Least value.
        high: Greatest value. Floats must be finite whatever the limits.
    """

    shape: tuple[int | str, ...]
    dtype: Any
    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        limits = (
            ", finite" if np.isinf([self.low, self.high]).any() else f" from {self.low:g} to {self.high:g}"
        )
        return f"[{', '.join(str(size) for size in self.shape)}] {self.dtype.__name__}{limits}"


def read(path: Path, columns: Mapping[str, Column]) -> tuple[dict[str, np.ndarray], str]:
    """Read the arrays `columns` of an `.npz` file and check them. Pickled objects are never loaded.

    Returns:
        The arrays by name, and the sha256 of the file that they were read from.

    Raises:
        UserError: if the file cannot be read, is damaged, or holds something else; names the file, what came and what was expected.
    """
    try:
        content = path.read_bytes()  # once, so that the checksum is that of the rows in use
        arrays = _unpack(content, columns)
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror or error}. Check the file and its permissions."
        ) from error
    except Exception as error:  # what zipfile, zlib and NumPy raise on damaged bytes is an open set, tokenize.TokenError among it
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} is damaged or no .npz file ({reason}); expected {_expected(columns)}. Replace it."
        ) from error
    sizes: dict[str, int] = {}
    for name, column in columns.items():
        if name not in arrays:
            raise UserError(
                f"{path} has no array {name!r}; it holds {', '.join(arrays) or 'nothing'}; expected {_expected(columns)}."
            )
        wrong = _mismatch(arrays[name], column, sizes)
        if wrong:
            raise UserError(f"{path}: {name} {wrong}; expected {column}. Replace the file.")
    return {name: arrays[name] for name in columns}, hashlib.sha256(content).hexdigest()


def _unpack(content: bytes, columns: Mapping[str, Column]) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"{len(content)} bytes that are no zip archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        # Other arrays of the file are not touched: their names alone tell what came.
        return {name: stored[name] if name in columns else np.empty(0) for name in stored.files}


def _expected(columns: Mapping[str, Column]) -> str:
    return ", ".join(f"{name} {column}" for name, column in columns.items())


def _mismatch(array: np.ndarray, column: Column, sizes: dict[str, int]) -> str:
    """What is wrong with the array, or "". `sizes` remembers the axes by name."""
    if not isinstance(array, np.ndarray) or array.ndim != len(column.shape):
        return f"has shape {list(np.shape(array))}"
    for size, want in zip(array.shape, column.shape, strict=True):
        known = sizes.setdefault(want, size) if isinstance(want, str) else want
        if size != known or size == 0:
            return f"has shape {list(array.shape)}" + (
                f" where {want}={known}" if isinstance(want, str) else ""
            )
    if not np.issubdtype(array.dtype, column.dtype):
        return f"has dtype {array.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
        return f"has NaN or infinite values in {len(bad)} rows, the first is row {bad[0]}"
    if array.min() < column.low or array.max() > column.high:
        return f"has values from {array.min():g} to {array.max():g}"
    return ""
