"""Folders that this process holds: one that is moved while it is written is not made anew at its old path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.words import shown

__all__ = ["FolderMoved", "check_held", "holding", "is_held"]

MAX_BYTES = 4096  # of the file that is open


class FolderMoved(UserError):
    """A folder that is held is no longer at its path.

    Args:
        old: The path.
        new: Where the folder is now; None: it was removed, or is where the system cannot tell.
    """

    def __init__(self, old: Path, new: Path | None) -> None:
        place = "it was removed, or moved to another disk" if new is None else f"it is now {shown(new)}"
        super().__init__(f"{shown(old)} is no longer there: {place}.")
        self.old = old
        self.new = new


@dataclass(frozen=True)
class _Held:
    """A file of the folder that is open, its descriptor, and how the system knew the folder."""

    file: str
    descriptor: int
    known: os.stat_result


_held: dict[Path, _Held] = {}
os.register_at_fork(after_in_child=_held.clear)  # which closes the descriptors of locks


@contextmanager
def holding(file: Path, descriptor: int) -> Iterator[None]:
    """In the block, `check_held` knows the folder of a file.

    Args:
        file: The file, which tells this folder from others by its content.
        descriptor: It is open as long as the block, which tells where the folder has gone.
    """
    place = file.absolute().parent
    _held[place] = _Held(file.name, descriptor, os.stat(place))
    try:
        yield
    finally:
        _held.pop(place, None)


def is_held(folder: Path) -> bool:
    """Whether this very folder is held."""
    return folder.absolute() in _held


def check_held(path: Path) -> None:
    """Refuse to write in a folder that is held, or to make it, where it is no longer at its path.

    Raises:
        FolderMoved: if it is not there, or another folder is in its place.
    """
    path = path.absolute()
    for place in (path, *path.parents):
        held = _held.get(place)
        if held is None or _is_there(place, held):
            continue
        new = _new_place(held)
        if new != place:  # else it has just come back
            raise FolderMoved(place, new)


def _is_there(place: Path, held: _Held) -> bool:
    try:
        if os.path.samestat(held.known, os.stat(place)):
            return True
        # Some network disks number their files anew from time to time.
        return (place / held.file).read_bytes() == os.pread(held.descriptor, MAX_BYTES, 0)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a disk that does not answer, which the writing says
        return True


def _new_place(held: _Held) -> Path | None:
    with suppress(OSError):  # it was removed, or this is no Linux
        new = Path(os.readlink(f"/proc/self/fd/{held.descriptor}")).parent
        if os.path.samestat(held.known, os.stat(new)):
            return new
    return None
