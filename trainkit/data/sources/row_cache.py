"""Rows that do not fit into memory: converted once into files, which are read from then on.

An entry is named by the content of its source and by how that is read. It appears when it is complete; one
process at a time makes it, and others wait.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.figures import size
from trainkit.core.files import cache_folder, make_folder, read_json, replacing_folder, sweep, write_json
from trainkit.core.locks import exclusive
from trainkit.core.memory import available_host_bytes
from trainkit.data.sources import paths

__all__ = ["RowFile", "converted", "fits", "folder_of", "known_checksum"]

FORMAT = 2  # of the entries; another number makes them anew
MEMORY_SHARE = 0.25  # of the free memory: rows are copied into splits, and from there to the device
ROWS = "rows"


def folder_of(setting: str | None) -> Path:
    """Where entries are kept: the folder that `data.cache` names, else one in the user's cache."""
    return Path(setting).expanduser() if setting else cache_folder() / "rows"


def fits(nbytes: float, memory: int | None, share: float = MEMORY_SHARE) -> bool:
    """Whether rows of so many bytes are read into memory.

    Args:
        nbytes: Of the rows.
        memory: What they may take, as `data.memory` says; None: a share of what is free.
        share: That share.
    """
    return nbytes <= (share * available_host_bytes() if memory is None else memory)


def known_checksum(files: Sequence[Path], folder: Path) -> str:
    """The checksum of files, computed again only when their times or sizes have changed.

    Args:
        files: The files.
        folder: Where entries are kept.

    Raises:
        UserError: for a file that cannot be read.
    """
    states = [(str(file.absolute()), paths.state_of(file)) for file in files]
    stamp = repr([(name, state.st_mtime_ns, state.st_size) for name, state in states])
    kept = folder / "checksums" / f"{_digest(stamp)}.json"
    try:
        known = read_json(kept).get("sha256")
    except UserError:
        known = None
    if not isinstance(known, str):
        try:
            known = paths.checksum(files)
        except OSError as error:
            raise UserError(f"Cannot read {error.filename}: {error.strerror}. Mend or delete it.") from error
        write_json(kept, {"sha256": known})
    return known


def converted(
    folder: Path, name: str, content: str, reading: Any, nbytes: int, convert: Callable[[Path], None]
) -> Path:
    """The folder with the files of an entry, which are made if they are not there.

    Args:
        folder: Where entries are kept.
        name: Of the source, for people.
        content: Checksum of the source.
        reading: How it is read: whatever changes the rows, with a `repr` that tells.
        nbytes: What the rows take, about.
        convert: Writes the files into a folder.

    Raises:
        UserError: if the disk has no room for them, or they cannot be written.
    """
    key = _digest(repr((FORMAT, content, reading)))
    entry = folder / f"{name}-{key}"
    made = entry / ROWS
    if made.is_dir():
        return made
    _check_room(folder, nbytes)

    def tell() -> None:
        sys.stderr.write(f"Another process converts {name}; waiting for it ...\n")

    with exclusive(entry / "lock", tell):
        if not made.is_dir():
            sweep(entry, unnamed=True)
            with replacing_folder(made) as beside:
                convert(beside)
    return made


def _check_room(folder: Path, nbytes: int) -> None:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if nbytes > free:
        raise UserError(
            f"The rows take {size(nbytes)}, more than data.memory allows, and {folder} has room for "
            f"{size(free)}. Set data.cache to a folder with more room, or data.memory to more bytes."
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class RowFile:
    """A `.npy` file that is written block by block; how many rows it gets need not be known before.

    Args:
        path: Of the file.
        shape: Of a row.
        dtype: Of the values.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.rows = 0

    def __enter__(self) -> Self:
        make_folder(self.path.parent)
        self.file = self.path.open("wb")
        self._write_header()
        self.begin = self.file.tell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.file.seek(0)
                self._write_header()  # NumPy leaves room in it for the number of rows to grow
                if self.file.tell() != self.begin:
                    raise ValueError(f"{self.path}: the header has grown")
        finally:
            self.file.close()

    def append(self, rows: np.ndarray) -> None:
        """Write rows `[n, ...]`."""
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.rows += len(rows)

    def _write_header(self) -> None:
        kind = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": kind, "fortran_order": False, "shape": (self.rows, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)
