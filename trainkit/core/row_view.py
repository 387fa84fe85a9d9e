"""Rows that lie in files and are read when they are needed: arrays larger than memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.figures import size
from trainkit.core.helpers import HelperThreads
from trainkit.core.memory import available_host_bytes

__all__ = ["RowView", "blocks", "gathered", "read_rows", "selected", "taken"]

BLOCK_BYTES = 32 * 2**20
ROWS_PER_THREAD = 512  # fewer are read faster by one
THREADS = 16  # they wait for the disk
MEMORY_SHARE = 0.5  # of the free memory that a view may take where somebody wants it whole


class RowView:
    """Some rows of an array in a file. It has the shape and the type of an array; an index reads rows.

    Args:
        array: Memory-mapped array `[N, ...]`.
        rows: Numbers of the rows `[n]`, in any order.
    """

    def __init__(self, array: np.memmap, rows: np.ndarray) -> None:
        self.array = array
        self.rows = np.asarray(rows)
        self.shape = (len(self.rows), *array.shape[1:])
        self.dtype = array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes that the rows would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return np.asarray(self)[index]
        rows = self.rows[index]
        return gathered(self.array, rows) if np.ndim(rows) else np.array(self.array[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        free = available_host_bytes()
        if self.nbytes > MEMORY_SHARE * free:
            raise UserError(
                f"Rows of {size(self.nbytes)} in a file are asked for as one array, and {size(free)} of "
                "memory are free. Read them in parts: rows[begin:end]."
            )
        whole = gathered(self.array, self.rows)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"RowView({self.shape}, {self.dtype})"


def selected(array: Any, rows: Any) -> Any:
    """The given rows of an array; of one that lies in a file a view, which reads nothing yet.

    Args:
        array: `[N, ...]`.
        rows: A slice, or row numbers `[n]`.
    """
    if isinstance(array, RowView):
        return RowView(array.array, array.rows[rows])
    if isinstance(array, np.memmap) and array.ndim:
        return RowView(array, np.arange(len(array))[rows])
    return taken(array, rows)


def taken(array: Any, rows: Any) -> Any:
    """The given rows of an array, in memory.

    Args:
        array: `[N, ...]`.
        rows: A slice, or row numbers `[n]`.
    """
    if isinstance(array, (np.ndarray, RowView)) or isinstance(rows, slice):
        return array[rows]
    return gathered(array, np.arange(len(array))[rows])


def gathered(array: Any, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Rows of an array by their numbers; those in a file in the order in which they lie there, by several
    threads, so that the disk is kept busy.

    Args:
        array: `[N, ...]`, or what reads rows as one, such as a dataset of h5py.
        rows: Row numbers `[n]`.
        out: Where to put them `[n, ...]`; default: a new array.
    """
    if out is None:
        out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    rows = np.where(rows < 0, rows + len(array), rows)
    if len(rows) and (rows.min() < 0 or rows.max() >= len(array)):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(array)}")
    if not isinstance(array, np.ndarray):
        return _read_sorted(array, rows, out)
    plain = array.view(np.ndarray)
    if out.dtype != array.dtype:  # texts, which TensorFlow takes as objects
        out[:] = plain.take(rows, axis=0)
        return out
    if not isinstance(array, np.memmap) or len(rows) < 2 * ROWS_PER_THREAD:
        # The numbers are checked above: in this mode, NumPy writes to `out` without a copy.
        return plain.take(rows, axis=0, out=out, mode="clip")
    _advise(array, rows)
    order = np.argsort(rows, kind="stable")

    def read(places: np.ndarray) -> None:
        out[places] = plain.take(rows[places], axis=0, mode="clip")

    parts = np.array_split(order, min(4 * THREADS, len(rows) // ROWS_PER_THREAD))
    with HelperThreads(THREADS) as pool:
        list(pool.map(read, parts))
    return out


def _read_sorted(array: Any, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Put rows into `out` by indexes that increase, which is all that the arrays of other libraries take."""
    numbers, places = np.unique(rows, return_inverse=True)
    if len(numbers):
        dense = numbers[-1] - numbers[0] < 2 * len(numbers)  # one piece is read faster than its rows
        out[:] = array[numbers[0] : numbers[-1] + 1][rows - numbers[0]] if dense else array[numbers][places]
    return out


def read_rows(array: Any, rows: np.ndarray, out: np.ndarray) -> None:
    """Put rows of an array, by their numbers `[n]`, into `out` `[n, ...]`."""
    if isinstance(array, RowView):
        gathered(array.array, array.rows[rows], out)
    else:
        gathered(array, rows, out)


def blocks(array: Any) -> Iterator[np.ndarray]:
    """The rows of an array one block after the other, each in memory.

    Args:
        array: `[N, ...]`, in memory or in a file.
    """
    rows = max(1, BLOCK_BYTES // max(1, array.nbytes // max(1, len(array))))
    for begin in range(0, len(array), rows):
        yield np.asarray(array[begin : begin + rows])


def _advise(array: np.memmap, rows: np.ndarray) -> None:
    """Tell the system whether the rows around one that is read will be needed too."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        dense = rows.max() - rows.min() < 2 * len(rows)
        owner.madvise(mmap.MADV_NORMAL if dense else mmap.MADV_RANDOM)
