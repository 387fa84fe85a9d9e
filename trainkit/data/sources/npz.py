"""Reads `.npz` files that are described beforehand, and refuses in one line what does not fit."""

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

__all__ = ["ArraySpec", "read"]


@dataclass(frozen=True)
class ArraySpec:
    """What one array of a file must be.

    Args:
        shape: Size of each axis. A name instead of a number takes any size of at least 1, the same wherever
            the name stands in the file.
        dtype: NumPy type, or a family of them such as `np.integer`.
        low: Least value.
        high: Greatest value. Floats must be finite whatever the limits.
    """

    shape: tuple[int | str, ...]
    dtype: Any
    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        unlimited = np.isinf([self.low, self.high]).any()
        limits = ", finite" if unlimited else f" from {self.low:g} to {self.high:g}"
        return f"[{', '.join(str(size) for size in self.shape)}] {self.dtype.__name__}{limits}"


def read(path: Path, specs: Mapping[str, ArraySpec]) -> tuple[dict[str, np.ndarray], str]:
    """Read and check the arrays of an `.npz` file. Pickled objects are never loaded.

    Args:
        path: The file.
        specs: What the file must hold, by name. Other arrays are not touched.

    Returns:
        The arrays by name, and the sha256 of the file that they were read from.

    Raises:
        UserError: if the file cannot be read, is damaged, or holds something else.
    """
    try:
        content = path.read_bytes()  # once, so that the checksum is that of the rows in use
        arrays = _unpack(content, specs)
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror or error}. Check the file and its permissions."
        ) from error
    except Exception as error:  # what zipfile, zlib and NumPy raise on damaged bytes is an open set
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} is damaged or no .npz file ({reason}); expected {_expected(specs)}. Replace it."
        ) from error
    _check(path, arrays, specs)
    return {name: arrays[name] for name in specs}, hashlib.sha256(content).hexdigest()


def _unpack(content: bytes, specs: Mapping[str, ArraySpec]) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"{len(content)} bytes that are no zip archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        # Other arrays of the file are not read: an error needs their names alone.
        return {name: stored[name] if name in specs else np.empty(0) for name in stored.files}


def _check(path: Path, arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec]) -> None:
    sizes: dict[str, int] = {}
    for name, spec in specs.items():
        if name not in arrays:
            raise UserError(
                f"{path} has no array {name!r}; it holds {', '.join(arrays) or 'nothing'}; "
                f"expected {_expected(specs)}."
            )
        wrong = _mismatch(arrays[name], spec, sizes)
        if wrong:
            raise UserError(f"{path}: {name} {wrong}; expected {spec}. Replace the file.")


def _expected(specs: Mapping[str, ArraySpec]) -> str:
    return ", ".join(f"{name} {spec}" for name, spec in specs.items())


def _mismatch(array: np.ndarray, spec: ArraySpec, sizes: dict[str, int]) -> str:
    """What is wrong with the array, or "". `sizes` holds the sizes of the named axes seen so far."""
    if not isinstance(array, np.ndarray) or array.ndim != len(spec.shape):
        return f"has shape {list(np.shape(array))}"
    for size, want in zip(array.shape, spec.shape, strict=True):
        known = sizes.setdefault(want, size) if isinstance(want, str) else want
        if size != known or size == 0:
            where = f" where {want}={known}" if isinstance(want, str) else ""
            return f"has shape {list(array.shape)}{where}"
    if not np.issubdtype(array.dtype, spec.dtype):
        return f"has dtype {array.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        return f"has NaN or infinite values in {len(bad)} rows, the first is row {bad[0]}"
    if array.min() < spec.low or array.max() > spec.high:
        return f"has values from {array.min():g} to {array.max():g}"
    return ""
