"""The only writer of whole files and folders: written beside, flushed to the disk, then renamed.

A reader, or a crash, sees the old content or the new, never half of one.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import re
import secrets
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError
from trainkit.core.held import check_held, is_held
from trainkit.core.words import shown

__all__ = [
    "LEAVING",
    "MAX_JSON_BYTES",
    "Disk",
    "cache_folder",
    "link",
    "make_folder",
    "now",
    "plain_json",
    "read_json",
    "read_or_set_aside",
    "replacing_file",
    "replacing_folder",
    "set_aside",
    "shown",
    "sweep",
    "using",
    "write_bytes",
    "write_json",
    "write_text",
]

MAX_JSON_BYTES = 2**28  # far more than a run ever writes
LEAVING = re.compile(r"\.[0-9a-f]{8}-(.+)")  # names under which files are written


class Disk:
    """What the writers below do to a disk. Tests of faults put one that fails in its place, by `using`."""

    def write(self, path: Path, parts: Iterable[Any]) -> None:
        """Write the parts of a file one after the other."""
        with open(path, "wb") as file:
            for part in parts:
                file.write(part)

    def flush(self, path: Path) -> None:
        """Force a file's content, or a folder's entries, to the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, new: Path, path: Path) -> None:
        """Give a file or folder its name; one that has it already is replaced in the same moment."""
        if new.is_dir() and path.is_dir() and not path.is_symlink():
            _exchange(new, path)
        else:
            os.replace(new, path)


class _Active:
    disk = Disk()


@contextmanager
def using(disk: Disk) -> Iterator[None]:
    """In the block, all files are written through `disk`, by all threads."""
    before, _Active.disk = _Active.disk, disk
    try:
        yield
    finally:
        _Active.disk = before


@contextmanager
def replacing_file(path: Path | str) -> Iterator[Path]:
    """A path to write to in the block; at its end the file is flushed and takes the name `path`.

    The file keeps the ending of `path`, since some writers choose the format by it. If the block raises,
    `path` is as it was.

    Raises:
        UserError: if the file cannot be written.
    """
    path = Path(path)
    beside = _beside(path)
    try:
        make_folder(path.parent)
        yield beside
        _Active.disk.flush(beside)
        _Active.disk.rename(beside, path)
        _Active.disk.flush(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        with suppress(OSError):  # it may be renamed by now, or could never be made
            beside.unlink()


@contextmanager
def replacing_folder(folder: Path | str) -> Iterator[Path]:
    """A new folder to fill in the block; at its end it is flushed and takes the name `folder`, or not at all.

    Raises:
        UserError: if the folder cannot be written.
    """
    folder = Path(folder)
    beside = _beside(folder)
    try:
        make_folder(beside)
        yield beside
        for path in [*(p for p in sorted(beside.rglob("*")) if p.is_file()), beside]:
            _Active.disk.flush(path)
        _Active.disk.rename(beside, folder)
        _Active.disk.flush(folder.parent)
    except OSError as error:
        raise _unwritten(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing, so that a loss of power leaves them.

    Raises:
        FolderMoved: if it lies in a folder that is held, see `core.held`, which is no longer there.
    """
    check_held(path)
    missing = takewhile(lambda folder: not (is_held(folder) or folder.exists()), (path, *path.parents))
    for folder in reversed(list(missing)):
        folder.mkdir(exist_ok=True)
        _Active.disk.flush(folder.parent)


def write_bytes(path: Path | str, parts: Iterable[Any]) -> None:
    """Write the parts of a file one after the other, in place: for the block of `replacing_folder`."""
    _Active.disk.write(Path(path), parts)


def write_text(path: Path | str, text: str | Iterable[str]) -> Path:
    """Write a text, or the parts of one, as a file, atomically and in UTF-8.

    Raises:
        UserError: if it cannot be written.
    """
    with replacing_file(path) as beside:
        write_bytes(beside, (part.encode() for part in ([text] if isinstance(text, str) else text)))
    return Path(path)


def write_json(path: Path | str, content: Mapping[str, Any]) -> Path:
    """Write a JSON file atomically; NaN and infinite numbers become null, since JSON has no other word for
    them."""
    return write_text(path, json.dumps(plain_json(content), indent=2, allow_nan=False) + "\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """The content of a JSON file; an empty dict if there is no such file.

    Raises:
        UserError: if the file is damaged or holds something else than an object.
    """
    path = Path(path)
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}; expected the JSON that a run writes.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}; expected a JSON object, as a run writes it.")
    return content


def cache_folder() -> Path:
    """`trainkit` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainkit"


def read_or_set_aside(path: Path | str) -> dict[str, Any]:
    """The content of a JSON file; an empty dict if there is none, or if it is damaged: then it is renamed,
    with a warning, so that it can be made anew."""
    try:
        return read_json(path)
    except UserError as error:
        warnings.warn(f"{error} {set_aside(path)}", stacklevel=2)
        return {}


def set_aside(path: Path | str) -> str:
    """Rename a damaged file; says so in a sentence."""
    path = Path(path)
    aside = path.with_name(f"{path.name}.damaged")
    with suppress(OSError):
        os.replace(path, aside)
    return f"It is kept as {aside.name}, and made anew."


def link(path: Path | str, target: str) -> None:
    """Make `path` a symbolic link to `target`, in place of one that is there.

    Raises:
        OSError: if the link cannot be made.
    """
    path = Path(path)
    beside = _beside(path)
    beside.symlink_to(target, target_is_directory=True)
    os.replace(beside, path)


def sweep(folder: Path | str, *, unnamed: bool = False) -> list[Path]:
    """Remove what writers that were killed have left in a folder and below; returns what was there.

    A folder whose own name is free may hold all that there is; it stays, unless `unnamed`.
    """
    found = []
    for path in sorted(Path(folder).rglob(".*")):
        name = LEAVING.fullmatch(path.name)
        if name is None or (not unnamed and path.is_dir() and not path.with_name(name[1]).exists()):
            continue
        found.append(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    return found


def now() -> str:
    """The time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain_json(value: Any) -> Any:
    """`value` as JSON can hold it: NumPy numbers as numbers, paths as texts, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(v) for v in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return plain_json(value.tolist())
    number = float(value)
    return number if math.isfinite(number) else None


def _unwritten(path: Path, error: OSError) -> UserError:
    """What to say of a file or folder that could not be written, also since its folder has just gone."""
    with suppress(OSError):
        check_held(path)
    if name := LEAVING.fullmatch(path.name):  # written beside what is itself written beside another
        path = path.with_name(name[1])
    return UserError(f"Cannot write {path}: {error.strerror or error}. Check the disk and its permissions.")


def _beside(path: Path) -> Path:
    """A name beside a path that is written, by which `sweep` knows it."""
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one atomic step on Linux; in two renames elsewhere."""
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(old), exchange) == 0:
            return
    aside = _beside(old)
    os.rename(old, aside)
    os.rename(new, old)
    shutil.rmtree(aside)
