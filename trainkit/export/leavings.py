"""What exports that were killed have left in a folder goes with the next one that comes to its end."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainkit.core import files

__all__ = ["sweeping"]


@contextmanager
def sweeping(folder: Path, names: Collection[str]) -> Iterator[None]:
    """Export into a folder in the block. At its end, what lay there before it beside files of these names is
    removed, unless another process exports into the folder: it may be at it still."""
    try:
        files.make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # which the first file says
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits only for one that removes
        before = _left(folder, names)
        yield
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in before:
                _remove(path)
    finally:
        os.close(descriptor)


def _left(folder: Path, names: Collection[str]) -> list[Path]:
    found = [(path, files.LEAVING.fullmatch(path.name)) for path in folder.glob(".*")]
    return [path for path, left in found if left is not None and left[1] in names]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
