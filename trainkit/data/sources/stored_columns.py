"""The columns of a table in a file: read whole, in blocks of rows, or by the numbers of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.data.kinds import LOOKED_AT
from trainkit.data.number_marks import plain_numbers
from trainkit.data.sources import arrow
from trainkit.data.sources.table_options import TableOptions

__all__ = ["StoredColumns", "StoredTexts"]


class StoredColumns(Mapping[str, np.ndarray]):
    """The columns of a table in an Arrow file. Each is read when it is asked for, and not kept.

    Args:
        path: Of the file.
        rows: Of the table.
        options: How the cells are read.
        known: Columns of the file that are in memory, and have other values than in the file.
    """

    def __init__(
        self, path: Path, rows: int, options: TableOptions, known: Mapping[str, np.ndarray] | None = None
    ) -> None:
        pa = arrow.require()
        self.rows = rows
        self.options = options
        self.known = known or {}
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._names = list(self._reader.schema.names)
        sizes = [self._reader.get_batch(i).num_rows for i in range(self._reader.num_record_batches)]
        self._ends = np.cumsum(sizes, dtype=np.int64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column as `read_table` gives it."""
        pa = arrow.require()
        if name in self.known:
            return self.known[name]
        return self._array(name, pa.chunked_array(self._chunks(name)), [])

    def is_text(self, name: str) -> bool:
        """Whether a column holds texts in the file."""
        return arrow.is_text(self._chunks(name)[0].type)

    def nbytes(self, name: str) -> int:
        """Bytes that a column takes in the file."""
        return sum(chunk.nbytes for chunk in self._chunks(name))

    def parts(self, name: str) -> Iterator[np.ndarray]:
        """A column, some rows at a time."""
        pa = arrow.require()
        if name in self.known:
            yield self.known[name]
            return
        for chunk in self._chunks(name):
            yield self._array(name, pa.chunked_array([chunk]), [])

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """All columns, some rows at a time."""
        own = [name for name in self._names if name not in self.known]
        begin = 0
        for end, *columns in zip(self._ends, *map(self.parts, own), strict=True):
            block = dict(zip(own, columns, strict=True))
            block |= {name: column[begin:end] for name, column in self.known.items()}
            yield {name: block[name] for name in self._names}
            begin = end

    def take(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Some rows of a column of texts.

        Args:
            name: Of the column.
            rows: Row numbers `[n]`, in any order.
        """
        pa = arrow.require()
        if name in self.known:
            return np.asarray(self.known[name][rows])
        found = np.empty(len(rows), dtype=object)
        order = np.argsort(rows, kind="stable")
        places = np.split(order, np.searchsorted(rows[order], self._ends[:-1]))
        begin = 0
        for chunk, end, here in zip(self._chunks(name), self._ends, places, strict=True):
            if len(here):
                chosen = chunk.take(pa.array(rows[here] - begin))
                found[here] = self._array(name, pa.chunked_array([chosen]), [])
            begin = end
        return found

    def shortened(self) -> Mapping[str, np.ndarray]:
        """The columns with long texts cut, and different ones still different: to judge them by."""
        return _Shortened(self)

    def collect_notes(self, name: str, notes: list[str]) -> None:
        """Add a sentence for what is lost when a column is read."""
        pa = arrow.require()
        chunks = self._chunks(name)
        if self.is_text(name):
            arrow.note_blanks(name, sum(arrow.trimmed(chunk)[1] for chunk in chunks), notes)
        else:
            self._array(name, pa.chunked_array(chunks), notes)

    def _chunks(self, name: str) -> list[Any]:
        if name not in self._names:
            raise KeyError(name)
        place = self._names.index(name)
        return [self._reader.get_batch(i).column(place) for i in range(self._reader.num_record_batches)]

    def _array(self, name: str, column: Any, notes: list[str]) -> np.ndarray:
        found = arrow.to_numpy(name, column, notes, any_type=name in self.options.ignore)
        return plain_numbers(found, self.options.decimal, self.options.thousands)


class _Shortened(Mapping[str, np.ndarray]):
    """See `StoredColumns.shortened`."""

    def __init__(self, columns: StoredColumns) -> None:
        self.columns = columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> np.ndarray:
        if not self.columns.is_text(name):
            return self.columns[name]
        return np.concatenate([_shortened(part) for part in self.columns.parts(name)])


def _shortened(column: np.ndarray) -> np.ndarray:
    if max(map(len, column), default=0) <= 2 * LOOKED_AT:
        return column
    short = [t if len(t) <= 2 * LOOKED_AT else f"{t[:LOOKED_AT]}{_digest(t).hex()}" for t in column]
    return np.array(short, dtype=object)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class StoredTexts:
    """A column of free texts in a file. An index reads rows.

    Args:
        columns: That it is one of.
        name: Its name.
        read: Makes texts of its raw cells.
    """

    dtype = np.dtype(object)

    def __init__(self, columns: StoredColumns, name: str, read: Callable[[np.ndarray], np.ndarray]) -> None:
        self.columns = columns
        self.name = name
        self.read = read

    def __len__(self) -> int:
        return self.columns.rows

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.read(self.columns.take(self.name, np.asarray(rows)))

    def parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The texts of some rows, in the order of the file, some at a time.

        Args:
            rows: Row numbers `[n]`.
        """
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        begin = 0
        for part in self.columns.parts(self.name):
            yield self.read(part[chosen[begin : begin + len(part)]])
            begin += len(part)

    def numbers(self) -> np.ndarray:
        """A number of each text, int64 `[N]`, the same for equal texts."""
        digests = [_digest(text) for part in self.parts(np.arange(len(self))) for text in part]
        return np.frombuffer(b"".join(digests), np.int64)
