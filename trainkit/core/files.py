"""The only writer of whole files and folders: written beside, flushed to the disk, then renamed.

A reader, or a crash, sees the old content or the new, never half of one.
"""

from __future__ import annotations

import csv
import ctypes
import io
import json
import math
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError

__all__ = [
    "cache_folder",
    "csv_text",
    "link",
    "now",
    "plain_json",
    "read_json",
    "replacing_file",
    "replacing_folder",
    "shown",
    "write_json",
    "write_text",
]


@contextmanager
def replacing_file(path: Path | str) -> Iterator[Path]:
    """A path to write to in the block; at its end the file is flushed and takes the name `path`.

    The file keeps the ending of `path`, since some writers choose the format by it. If the block raises,
    `path` is as it was.

    Raises:
        UserError: if the file cannot be written.
    """
    path = Path(path)
    beside = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        _flush(beside)
        os.replace(beside, path)
        _flush(path.parent)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Check the disk and its permissions."
        ) from error
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
    beside = folder.with_name(f".{secrets.token_hex(4)}-{folder.name}")
    try:
        beside.mkdir(parents=True)
        yield beside
        for path in [*(p for p in sorted(beside.rglob("*")) if p.is_file()), beside]:
            _flush(path)
        if folder.exists():
            _exchange(beside, folder)
        else:
            os.rename(beside, folder)
        _flush(folder.parent)
    except OSError as error:
        raise UserError(
            f"Cannot write {folder}: {error.strerror or error}. Check the disk and its permissions."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_text(path: Path | str, text: str) -> Path:
    """Write a text file atomically, in UTF-8.

    Raises:
        UserError: if it cannot be written.
    """
    with replacing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: Path | str, content: Mapping[str, Any]) -> Path:
    """Write a JSON file atomically; NaN and infinite numbers become null, since JSON has no other word for
    them."""
    return write_text(path, json.dumps(plain_json(content), indent=2, allow_nan=False) + "\n")


def csv_text(columns: Mapping[str, Sequence[Any]]) -> str:
    """A table `{name: cells}` as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def read_json(path: Path | str) -> dict[str, Any]:
    """The content of a JSON file; an empty dict if there is no such file.

    Raises:
        UserError: if the file is damaged or holds something else than an object.
    """
    path = Path(path)
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; expected the JSON that a run writes.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}; expected a JSON object, as a run writes it.")
    return content


def cache_folder() -> Path:
    """`trainkit` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainkit"


def link(path: Path | str, target: str) -> None:
    """Make `path` a symbolic link to `target`, in place of one that is there.

    Raises:
        OSError: if the link cannot be made.
    """
    path = Path(path)
    beside = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    beside.symlink_to(target, target_is_directory=True)
    os.replace(beside, path)


def shown(path: Path | str) -> str:
    """A path as people type it: relative to the working directory if it lies inside."""
    path, here = Path(path).absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


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


def _flush(path: Path) -> None:
    """Force a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one atomic step on Linux; in two renames elsewhere."""
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(old), exchange) == 0:
            return
    aside = old.with_name(f".{secrets.token_hex(4)}-{old.name}")
    os.rename(old, aside)
    os.rename(new, old)
    shutil.rmtree(aside)
