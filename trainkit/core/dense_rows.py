"""Rows in the forms in which people have them, as arrays: frames, tensors, lists of numbers. Needs NumPy
alone, and knows other libraries by what their objects have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from trainkit.core.errors import UserError, one_line
from trainkit.core.row_view import RowView
from trainkit.core.tree import Structure, leaves, like_mapping, like_sequence

__all__ = ["as_arrays"]

SCALARS = (bool, int, float, complex, str, bytes, np.generic, type(None))
SPARSE = ("SparseTensor", "RaggedTensor", "IndexedSlices")  # of TensorFlow


def as_arrays(structure: Structure, name: str) -> Structure:
    """The same structure, of arrays.

    A tensor, a frame, a series or a list of numbers becomes an array; an array stays what it is.

    Args:
        structure: An array `[N, ...]`, something that holds one, or nested tuples, lists or dicts of them.
        name: What it is, for errors.

    Raises:
        UserError: for sparse and ragged rows, masked values, columns that are no numbers, and whatever else
            is no array.
    """
    if all(_is_array(leaf) for leaf in leaves(structure)):
        return structure
    return _converted(structure, name)


def _is_array(thing: Any) -> bool:
    """Whether a thing is an array, or reads rows as one, such as a dataset of a file."""
    if isinstance(thing, (np.ndarray, RowView)):
        return not isinstance(thing, np.ma.MaskedArray)
    reads_rows = isinstance(getattr(thing, "dtype", None), np.dtype) and all(
        hasattr(thing, name) for name in ("shape", "ndim", "__len__", "__getitem__")
    )
    return reads_rows and not any(hasattr(thing, name) for name in ("iloc", "toarray", "block_until_ready"))


def _converted(part: Any, name: str) -> Any:
    if isinstance(part, Mapping):
        return like_mapping(part, {key: _converted(value, f"{name}/{key}") for key, value in part.items()})
    if not isinstance(part, (tuple, list)):
        return None if part is None else _array(part, name)
    if hasattr(part, "_fields") or not _is_scalars(part):
        return like_sequence(part, [_converted(value, f"{name}/{i}") for i, value in enumerate(part)])
    if isinstance(part, tuple) and not all(isinstance(value, SCALARS) for value in part):
        raise UserError(
            f"{name} is a tuple of lists, which may be rows or several inputs: give numpy.array({name}) for "
            "rows, or a tuple of arrays for inputs."
        )
    return _of_list(part, name)


def _is_scalars(part: Any) -> bool:
    """Whether nested lists and tuples hold numbers and texts alone."""
    if isinstance(part, (tuple, list)):
        return all(map(_is_scalars, part))
    return isinstance(part, SCALARS)


def _of_list(part: Any, name: str) -> np.ndarray:
    try:
        found = np.array(part)
    except (ValueError, OverflowError):
        _refuse(name, f"a {type(part).__name__} whose rows have different lengths")
    if found.dtype.kind not in "biufcUS" or _mixes(found, part):
        _refuse(name, f"a {type(part).__name__} with values that are neither all numbers nor all texts")
    return found


def _array(thing: Any, name: str) -> Any:
    """One array."""
    kind = type(thing).__name__
    if isinstance(thing, np.ma.MaskedArray):
        if np.ma.is_masked(thing):
            _refuse(name, "a masked array with masked values", f"Fill them by {name}.filled(value)")
        return np.asarray(thing)
    if _is_array(thing):
        return thing
    if hasattr(thing, "toarray"):
        _refuse(name, f"a sparse {kind}", f"Give {name}.toarray()")
    if kind in SPARSE or not hasattr(thing, "__array__") or isinstance(thing, SCALARS):
        _refuse(name, kind)
    try:
        found = np.asarray(thing)
    except Exception as error:  # whatever another library raises, as for a symbolic tensor
        reason = one_line(str(error))[:200]
        raise UserError(f"{name} is {kind}, and cannot be read as an array: {reason}") from error
    if found.dtype.kind == "O":
        found = _plain(thing, found, name)
    if found.dtype.kind in "Mm":
        _refuse(name, f"a {kind} of dates or times", "Turn them into numbers")
    return found


def _plain(thing: Any, found: np.ndarray, name: str) -> np.ndarray:
    """Objects, such as the numbers of a nullable column, as numbers or texts."""
    values = found.tolist()
    plain = np.array(values)
    if plain.dtype.kind in "biufcUS" and plain.shape == found.shape and not _mixes(plain, values):
        return plain
    kinds = [str(kind) for kind in np.ravel(getattr(thing, "dtypes", getattr(thing, "dtype", "object")))]
    names = [str(column) for column in getattr(thing, "columns", [])]
    told = f" ({', '.join(map(': '.join, zip(names, kinds, strict=False)))})" if names else f" of {kinds[0]}"
    _refuse(
        name,
        f"a {type(thing).__name__}{told} with missing values, or with both numbers and texts",
        "Fill, encode or drop these columns, or train on the table by data.path=",
    )


def _mixes(found: np.ndarray, values: Any) -> bool:
    """Whether NumPy made texts of numbers."""
    if found.dtype.kind not in "US":
        return False
    return not all(isinstance(value, (str, bytes)) for value in np.array(values, object).ravel())


def _refuse(name: str, what: str, advice: str = "Give a NumPy array") -> NoReturn:
    raise UserError(f"{name} is {what}; expected an array of numbers or texts, rows first. {advice}.")
