"""Names of pictures, and in them: short, and no two the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["file_names", "other_pictures", "short_names"]

MAX_FILE_NAME = 100  # characters; file systems allow 255 bytes


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each of these names, which may hold anything: `top/5` -> `top_5`.

    No two are the same, also where upper and lower case are not told apart.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w.+-]+", "_", name).lstrip(".")[:MAX_FILE_NAME] or "_"
        unique = plain
        number = 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{plain}-{number}"
        taken.add(unique.casefold())
        found[name] = unique
    return found


def other_pictures(folder: Path, metrics: Iterable[str]) -> list[Path]:
    """The PNG files of a folder that are no curves of these metrics."""
    curves = {f"{name}.png" for name in file_names(metrics).values()}
    return [path for path in sorted(folder.glob("*.png")) if path.name not in curves]


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Names of at most `width` characters, cut in the middle; numbered where they would look the same."""
    tail = (width - 1) // 2
    short = [n if len(n) <= width else f"{n[: width - 1 - tail]}…{n[-tail:]}" for n in names]
    numbered = [f"{n[: width - 2 - len(str(i))]}… {i}" for i, n in enumerate(names, 1)]
    return [n if short.count(n) == 1 else other for n, other in zip(short, numbered, strict=True)]
