"""Folders that this process holds: one that is moved while it is written is not made anew at its old path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.words import shown

__all__ = ["FolderMoved", "check_held", "holding", "is_held"]


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


_held: dict[Path, tuple[int, os.stat_result]] = {}
os.register_at_fork(after_in_child=_held.clear)  # which closes the descriptors of locks


@contextmanager
def holding(folder: Path, inside: int) -> Iterator[None]:
    """In the block, `check_held` knows the folder.

    Args:
        folder: It is there.
        inside: Descriptor of a file in it, open as long as the block: it tells where the folder has gone.
    """
    place = folder.absolute()
    _held[place] = (inside, os.stat(place))
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
        inside, known = _held.get(place, (None, None))
        if inside is None or known is None or _is_there(place, known):
            continue
        new = _new_place(inside, known)
        if new != place:  # else it has just come back
            raise FolderMoved(place, new)


def _is_there(place: Path, known: os.stat_result) -> bool:
    try:
        return os.path.samestat(known, os.stat(place))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a disk that does not answer, which the writing says
        return True


def _new_place(inside: int, known: os.stat_result) -> Path | None:
    with suppress(OSError):  # it was removed, or this is no Linux
        new = Path(os.readlink(f"/proc/self/fd/{inside}")).parent
        if os.path.samestat(known, os.stat(new)):
            return new
    return None
