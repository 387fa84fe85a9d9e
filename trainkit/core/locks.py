"""A lock of a file that one process at a time holds, and others wait for."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.files import make_folder

__all__ = ["exclusive"]


@contextmanager
def exclusive(path: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of a file in the block. The system gives back the lock of a process that died.

    Args:
        path: The file; it is made where it is missing, and stays.
        waiting: Called if another process holds the lock, before its end is awaited.

    Raises:
        UserError: if the file cannot be made, or the file system has no locks.
    """
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Check the disk and its permissions."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(f"{path} cannot be locked: {error.strerror}. Use another folder.") from error
        yield
    finally:
        os.close(descriptor)
