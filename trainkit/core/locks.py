"""A lock of a file that one process at a time holds, and others wait for."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.files import make_folder

__all__ = ["closing", "exclusive"]

_held: set[int] = set()  # descriptors


@contextmanager
def closing(descriptor: int) -> Iterator[None]:
    """Close a descriptor that holds a lock at the end of the block, and at once in a process that is forked
    in it: that one would hold the lock when this one has died."""
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # else this is such a process
            _held.remove(descriptor)
            os.close(descriptor)


def _close_all() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_all)


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
    with closing(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(f"{path} cannot be locked: {error.strerror}. Use another folder.") from error
        yield
