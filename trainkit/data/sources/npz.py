"""Arrays from the bytes of `.npz` files, without running what a pickle may hold."""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections.abc import Collection, Mapping
from typing import IO, Any

import numpy as np

__all__ = ["RestrictedUnpickler", "ragged", "unpack"]

# NumPy's pickles rebuild arrays from these alone. The function has no public name but its own use.
ARRAY_PARTS = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
HEADERS: Mapping[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles NumPy arrays, and what Python builds in; refuses everything else, which could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if module in NUMPY_MODULES and name in ARRAY_PARTS:
            return ARRAY_PARTS[name]
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array")


def unpack(content: bytes, names: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file. Pickled objects are refused.

    Args:
        content: Of the file.
        names: Arrays to read. Of others, an empty array tells that they are there.

    Raises:
        ValueError: and whatever zipfile, zlib and NumPy raise on damaged bytes.
    """
    with _archive(content) as archive:
        found = {}
        for name in _members(archive):
            array = np.empty(0)
            if name in names:
                with archive.open(f"{name}.npy") as file:
                    _check_size(file, archive.getinfo(f"{name}.npy").file_size)
                with archive.open(f"{name}.npy") as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
            found[name] = array
        return found


def ragged(content: bytes, lists: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file in which some hold lists of whole numbers, pickled.

    Args:
        content: Of the file.
        lists: Names of the arrays of lists: they become object arrays `[N]` of int32 arrays.

    Raises:
        ValueError: and whatever zipfile, zlib, pickle and NumPy raise on damaged bytes.
    """
    arrays: dict[str, np.ndarray] = {}
    with _archive(content) as archive:
        for name in _members(archive):
            _check_memory(archive.getinfo(f"{name}.npy").file_size)
            with archive.open(f"{name}.npy") as file:
                whole = io.BytesIO(file.read())
            if name in lists:
                arrays[name] = _lists(whole)
            else:
                arrays[name] = np.lib.format.read_array(whole, allow_pickle=False)
    return arrays


def _check_size(file: IO[bytes], size: int) -> None:
    """Compare what the header of an `.npy` file of `size` bytes names with what is there, and with the
    memory of this machine, before anything is unpacked.

    Raises:
        ValueError: if it names more or less, or more than could ever be held.
    """
    shape, _, kind = HEADERS[np.lib.format.read_magic(file)](file)
    named = math.prod(shape) * kind.itemsize
    held = size - file.tell()
    if not kind.hasobject and named != held:
        raise ValueError(f"a header names {named} bytes, but holds {held}")
    _check_memory(held)


def _check_memory(size: int) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise ValueError(f"it unpacks to {size} bytes; this machine has {memory}")


def _archive(content: bytes) -> zipfile.ZipFile:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"{len(content)} bytes that are no zip archive")
    return zipfile.ZipFile(io.BytesIO(content))


def _members(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _lists(file: io.BytesIO) -> np.ndarray:
    """An object array of lists, from the bytes of an `.npy` file."""
    HEADERS[np.lib.format.read_magic(file)](file)
    stored = RestrictedUnpickler(file).load()
    lists = np.empty(len(stored), dtype=object)
    lists[:] = [np.asarray(numbers, np.int32) for numbers in stored]
    return lists
