"""Reading `.npz` files that may be truncated, wrong or foreign: everything is checked before anything is used."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainkit.task import UserError


def read_npz(path: Path, expected: Mapping[str, tuple[int | None, ...]]) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of an `.npz` file and its sha256.

    Args:
        path: File to read; pickled objects are never loaded.
        expected: Shape of each array by its key; None stands for any length, the same for all first axes with one prefix (`x_train`, `y_train`).

    Raises:
        UserError: if the file cannot be read, or misses a key, or an array has another shape or holds values that are not finite numbers.
    """
    try:
        content = path.read_bytes()
        with np.load(path, allow_pickle=False) as archive:
            missing = sorted(set(expected) - set(archive.files))
            if missing:
                raise UserError(f"{path} has no array {missing[0]!r}; it has {', '.join(archive.files) or 'none'}, expected {', '.join(expected)}.")
            arrays = {key: archive[key] for key in expected}
    except UserError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError) as error:
        raise UserError(f"{path} cannot be read as an .npz file, it may be truncated ({str(error).splitlines()[0] if str(error) else error!r}). Replace or remove it.") from error
    for key, shape in expected.items():
        array = arrays[key]
        if array.ndim != len(shape) or any(want is not None and want != have for want, have in zip(shape, array.shape, strict=True)) or not len(array):
            wanted = ", ".join("N" if n is None else str(n) for n in shape)
            raise UserError(f"{path}: array {key!r} has shape {array.shape}; expected ({wanted}) with N > 0.")
        if array.dtype.kind not in "uif" or not np.isfinite(array).all():
            what = "NaN or infinite values" if array.dtype.kind == "f" else f"values of type {array.dtype}"
            raise UserError(f"{path}: array {key!r} has {what}; expected finite numbers.")
    return arrays, hashlib.sha256(content).hexdigest()


def check_pairs(path: Path, arrays: Mapping[str, np.ndarray], pairs: list[tuple[str, str]]) -> None:
    """Refuse features and labels of different lengths."""
    for x, y in pairs:
        if len(arrays[x]) != len(arrays[y]):
            raise UserError(f"{path}: {x!r} has {len(arrays[x])} rows but {y!r} has {len(arrays[y])}; expected as many.")


def check_range(path: Path, name: str, array: np.ndarray, low: float, high: float) -> None:
    """Refuse values outside of `[low, high]`, and fractions where `array` should hold whole numbers."""
    if array.min() < low or array.max() > high:
        raise UserError(f"{path}: array {name!r} has values from {array.min()} to {array.max()}; expected {low} to {high}.")
