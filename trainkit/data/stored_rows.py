"""Tables that are not held in memory: columns as their schema reads them, and rows prepared into files."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.figures import size
from trainkit.core.memory import available_host_bytes
from trainkit.data.columns import setting_of
from trainkit.data.preparation.preparation import Preparation
from trainkit.data.schema import Schema
from trainkit.data.sources import row_cache
from trainkit.data.sources.progress import Progress
from trainkit.data.sources.row_cache import RowFile
from trainkit.data.sources.stored_columns import StoredColumns, StoredTexts

__all__ = ["ReadColumns", "prepared_rows"]

MEMORY_SHARE = 0.5  # of the free memory that a column of long texts may take


class ReadColumns(Mapping[str, Any]):
    """What `Schema.read` gives, each column read when it is asked for. The last one is kept. Free texts stay
    in the file.

    Args:
        schema: Of the table.
        stored: Its columns.
    """

    def __init__(self, schema: Schema, stored: StoredColumns) -> None:
        self.schema = schema
        self.stored = stored
        self._names = [column.name for column in schema.columns if column.role != "ignored"]
        self._last: tuple[str, np.ndarray] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Any:  # an array, or `StoredTexts`
        if name not in self._names:
            raise KeyError(name)
        column = self.schema[name]
        if column.kind == "text":
            return StoredTexts(self.stored, name, column.read)
        if self._last is None or self._last[0] != name:
            self._last = None
            self._check_size(name)
            self._last = (name, column.read(self.stored[name]))
        return self._last[1]

    def check(self) -> None:
        """Refuse rows that lack a feature, or have cells that are not of its kind.

        Raises:
            UserError: naming the first.
        """
        self.schema.check_present(self.stored, ("feature",))
        for feature in self.schema.features:
            self[feature.name]

    def _check_size(self, name: str) -> None:
        nbytes = self.stored.nbytes(name)
        if nbytes > MEMORY_SHARE * available_host_bytes():
            raise UserError(
                f"data.columns.{name} is of kind {self.schema[name].kind} and takes {size(nbytes)}, more "
                f"than fits into memory, as only free texts may: set {setting_of(name, 'text')}, or ignore."
            )


def prepared_rows(
    columns: ReadColumns, preparation: Preparation, name: str, sha256: str, cache: str | None
) -> dict[str, np.ndarray]:
    """All rows of a table as the model takes them, memory-mapped; prepared once.

    Args:
        columns: Of the table.
        preparation: Fitted to its training rows.
        name: Of the table, for people.
        sha256: Its checksum.
        cache: Folder of such files; None: in the user's cache.
    """
    schema = columns.schema
    inputs = preparation.inputs
    nbytes = 4 * columns.stored.rows * sum(math.prod(described.shape) for described in inputs.values())

    def convert(folder: Path) -> None:
        with ExitStack() as stack:
            bar = stack.enter_context(Progress("Preparing", name, nbytes, sys.stderr.write))
            files = {
                key: stack.enter_context(RowFile(folder / f"{key}.npy", described.shape, described.dtype))
                for key, described in inputs.items()
            }
            for block in columns.stored.blocks():
                for key, rows in preparation.encode(schema.read(block, roles=("feature",))).items():
                    files[key].append(rows)
                    bar.add(rows.nbytes)

    reading = (columns.stored.options, schema.to_dict(), preparation.to_dict())
    folder = row_cache.folder_of(cache)
    entry = row_cache.converted(folder, f"{name}-prepared", sha256, reading, nbytes, convert)
    return {key: np.load(entry / f"{key}.npy", mmap_mode="r") for key in inputs}
