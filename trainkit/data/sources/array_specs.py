"""What the arrays of a known data set must be; what does not fit is refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.errors import UserError

__all__ = ["ArraySpec", "check_arrays", "expected"]


@dataclass(frozen=True)
class ArraySpec:
    """What one array must be.

    Args:
        shape: Size of each axis. A name instead of a number takes any size of at least 1, the same wherever
            the name stands in the data set.
        dtype: NumPy type, or a family of them such as `np.integer`; `list` for a sequence of int32 arrays.
        low: Least value.
        high: Greatest value. Floats must be finite whatever the limits.
    """

    shape: tuple[int | str, ...]
    dtype: Any
    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        unlimited = np.isinf([self.low, self.high]).any()
        limits = f" from {self.low:g} to {self.high:g}"
        if unlimited:
            limits = "" if self.dtype is list else ", finite"
        kind = "lists of whole numbers" if self.dtype is list else self.dtype.__name__
        return f"[{', '.join(str(size) for size in self.shape)}] {kind}{limits}"


def check_arrays(
    origin: Path | str, arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec]
) -> dict[str, np.ndarray]:
    """The arrays that are specified, each checked.

    Args:
        origin: File that they come from, for messages.
        arrays: By name.
        specs: What they must be, by name. Other arrays are left out.

    Raises:
        UserError: naming the file, what came and what was expected.
    """
    sizes: dict[str, int] = {}
    for name, spec in specs.items():
        if name not in arrays:
            raise UserError(
                f"{origin} has no array {name!r}; it holds {', '.join(arrays) or 'nothing'}; "
                f"expected {expected(specs)}."
            )
        wrong = _mismatch(arrays[name], spec, sizes)
        if wrong:
            raise UserError(f"{origin}: {name} {wrong}; expected {spec}. Replace the file.")
    return {name: arrays[name] for name in specs}


def expected(specs: Mapping[str, ArraySpec]) -> str:
    """The specifications for a message."""
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
    if spec.dtype is list:
        return _wrong_lists(array, spec)
    if not np.issubdtype(array.dtype, spec.dtype):
        return f"has dtype {array.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        return f"has NaN or infinite values in {len(bad)} rows, the first is row {bad[0] + 1}"
    return _out_of_range(array, spec)


def _out_of_range(array: np.ndarray, spec: ArraySpec) -> str:
    if array.min() < spec.low or array.max() > spec.high:
        return f"has values from {array.min():g} to {array.max():g}"
    return ""


def _wrong_lists(array: np.ndarray, spec: ArraySpec) -> str:
    for row, numbers in enumerate(array.tolist()):
        if not isinstance(numbers, np.ndarray) or numbers.dtype != np.int32 or numbers.ndim != 1:
            return f"has no list of whole numbers in row {row + 1}"
    return _out_of_range(np.concatenate(array.tolist()), spec)
