"""A run's directory: how it is made, found again, and written so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError


def write_text(path: Path, text: str) -> Path:
    """Write a file beside and rename it, so that a reader or a crash sees the old text or the new.

    Raises:
        UserError: if it cannot be written.
    """
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"Cannot write {path}: {error.strerror}. Check the disk and its permissions.") from error
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON file as `write_text` does; NaN and infinite numbers become null, which JSON has no other word for."""
    return write_text(path, json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")


def shown(path: Path) -> str:
    """A path as people type it: relative to the working directory where it lies inside."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    """Plain JSON values: NumPy numbers as numbers, paths as text, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = float(value)
    return number if math.isfinite(number) else None
