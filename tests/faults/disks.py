"""Disks that fail: once, for ever, or by losing what was not flushed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainkit.core import files

__all__ = ["FailsOnce", "LosesPower", "ReadOnly", "TakesNo"]


class FailsOnce(files.Disk):
    """Fails at its n-th operation, and at no other; `count` tells how many there were."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.failed = ""

    def _next(self, what: str, path: Path) -> None:
        self.count += 1
        if self.count == self.number:
            self.failed = f"{what} {path.name}"
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def write(self, path: Path, parts: Iterable[Any]) -> None:
        path.write_bytes(b"half")
        self._next("write", path)
        super().write(path, parts)

    def flush(self, path: Path) -> None:
        self._next("flush", path)
        super().flush(path)

    def rename(self, new: Path, path: Path) -> None:
        self._next("rename", path)
        super().rename(new, path)


class ReadOnly(files.Disk):
    """A disk that was mounted anew, without the permission to write, after some operations."""

    def __init__(self, after: int) -> None:
        self.left = after

    def write(self, path: Path, parts: Iterable[Any]) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        super().write(path, parts)


class TakesNo(files.Disk):
    """Has no room for files with some endings."""

    def __init__(self, *endings: str) -> None:
        self.endings = endings

    def flush(self, path: Path) -> None:
        if path.suffix in self.endings:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        super().flush(path)


class LosesPower(files.Disk):
    """Remembers what is safe on the disk: the content of files, and the entries of folders, at their last
    flush."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents: dict[int, bytes] = {}
        self.entries: dict[int, dict[str, tuple[int, bool]]] = {}
        self.images: list[dict[str, bytes]] = []
        self.every = 1

    def flush(self, path: Path) -> None:
        super().flush(path)
        number = path.stat().st_ino
        if path.is_dir():
            self.entries[number] = {
                child.name: (child.lstat().st_ino, child.is_dir() and not child.is_symlink())
                for child in path.iterdir()
            }
        else:
            self.contents[number] = path.read_bytes()
        self.images.append(self.image())

    def image(self) -> dict[str, bytes]:
        """The files that a power loss would leave now; one whose content was not flushed is empty."""
        found: dict[str, bytes] = {}
        self._walk(self.root.stat().st_ino, "", found)
        return found

    def _walk(self, number: int, place: str, found: dict[str, bytes]) -> None:
        for name, (child, is_folder) in self.entries.get(number, {}).items():
            if is_folder:
                self._walk(child, f"{place}{name}/", found)
            else:
                found[place + name] = self.contents.get(child, b"")
