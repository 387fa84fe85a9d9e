"""One process at a time writes a run directory."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.files import now, shown
from trainkit.core.held import holding
from trainkit.core.locks import closing

__all__ = ["LOCK", "holder", "is_locked", "locked", "refuse_held"]

LOCK = ".lock"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the lock of a run directory in the block. The system gives back the lock of a process that died.

    If the directory is moved or removed meanwhile, nothing is written to its path: writers raise FolderMoved.

    Raises:
        UserError: naming the process that holds it.
    """
    path = run / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(f"Cannot write to the run directory {shown(run)}: {error.strerror}.") from error
    with closing(descriptor):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{shown(path)} is no plain file, and cannot be the lock of the run; remove it.")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(_refusal(run, os.pread(descriptor, 4096, 0))) from None
        except OSError as error:  # a file system without locks
            warnings.warn(f"{shown(run)} cannot be locked: {error.strerror}.", stacklevel=3)
        me = {"pid": os.getpid(), "host": platform.node(), "since": now()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(me).encode(), 0)
        with holding(path, descriptor):
            yield


def is_locked(run: Path) -> bool:
    """Whether a process holds the lock of a run directory."""
    try:
        descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # others may look too
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def holder(run: Path) -> str | None:
    """The process that holds the lock of a run directory, for people; None: none does."""
    return _named((run / LOCK).read_bytes()) if is_locked(run) else None


def refuse_held(run: Path) -> None:
    """Refuse a run directory that another process writes, before anything is done for it.

    Raises:
        UserError: naming the process.
    """
    if is_locked(run):
        raise UserError(_refusal(run, (run / LOCK).read_bytes()))


def _refusal(run: Path, content: bytes) -> str:
    return (
        f"Run {shown(run)} is being written by {_named(content)}. Wait for its end, stop it, or choose "
        "another directory with run_dir=."
    )


def _named(content: bytes) -> str:
    """The process that a lock's content names."""
    try:
        one = json.loads(content)
        return f"process {one['pid']} on {one['host']}, since {one['since']}"
    except (ValueError, KeyError, TypeError):  # it has only just taken it
        return "another process"
