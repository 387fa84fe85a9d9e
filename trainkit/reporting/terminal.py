"""Runs side by side as lines for a terminal of any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainkit.core.figures import NOTHING, number
from trainkit.reporting.comparison import Compared, Row, column_names, differences, seed_groups

__all__ = ["pair_lines", "table_lines"]

GAP = "  "
MAX_NAMED = 12  # columns that did not fit and are named
# The columns that tell runs apart come first; the others follow as far as the terminal is wide.
FIRST = ("run", "task", "status", "epochs", "best")
LATER = ("data set", "monitor", "best epoch", "seconds", "rows/s", "execution", "precision")


def table_lines(rows: Sequence[Row], width: int, limit: int) -> list[str]:
    """A line per run under a line of names, and a line per training with several seeds or folds.

    Args:
        rows: In their order.
        width: Columns of the terminal.
        limit: Runs that are shown.
    """
    names = column_names(rows)
    test = [name for name in names if name.startswith("test/")]
    settings = [name for name in names if name not in (*FIRST, *LATER, *test)]
    wanted = [n for n in (*FIRST, *test, *settings, *LATER) if n in names and not _is_same(n, rows)]
    shown = rows[:limit]
    columns = {name: _column(name, shown) for name in wanted}
    fitting = _fitting(columns, width)
    lines = [GAP.join(columns[name][i] for name in fitting).rstrip() for i in range(len(shown) + 1)]
    same = [f"{name} {_text(rows[0].values[name])}" for name in names if _is_same(name, rows)]
    if same:
        lines += _wrapped("all: ", same, width)
    left = [name for name in wanted if name not in fitting]
    if left:
        more = [f"and {len(left) - MAX_NAMED} more"] if len(left) > MAX_NAMED else []
        lines += _wrapped("more in compare.html: ", [*left[:MAX_NAMED], *more], width)
    if len(rows) > limit:
        lines.append(f"{len(rows) - limit:,} more runs; compare.limit shows more.")
    for group in seed_groups(rows):
        spread = [f"{name} {group.text(name)}" for name in group.spread]
        apart = "".join(f", {key} {_text(value)}" for key, value in group.apart.items())
        lines += _wrapped(f"{group.kind}, {group.rows[0].values['task']}{apart}: ", spread, width)
    return lines


def pair_lines(first: Compared, second: Compared, rows: Sequence[Row], width: int) -> list[str]:
    """What differs between two runs: settings, data, versions, then the results of both."""
    about = {
        **{key: (first.settings.get(key), second.settings.get(key)) for key in differences([first, second])},
        **_manifest_differences(first.data.manifest, second.data.manifest),
    }
    lines = ["What differs:" if about else "Settings, data and versions are the same."]
    lines += _pairs(about, width)
    results = {
        name: (rows[0].values.get(name), rows[1].values.get(name))
        for name in column_names(rows)
        if name not in about
    }
    return [*lines, "Results:", *_pairs(results, width)]


def _manifest_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What the manifests say otherwise of data, versions, code and devices."""
    sides = []
    for manifest in (a, b):
        flat = {f"data set: {key}": value for key, value in (manifest.get("dataset") or {}).items()}
        flat |= {f"version: {key}": value for key, value in (manifest.get("versions") or {}).items()}
        git = manifest.get("git") or {}
        flat |= {"commit": git.get("commit"), "uncommitted changes": git.get("dirty")}
        flat |= {key: manifest.get(key) for key in ("devices", "platform")}
        sides.append(flat)
    keys = list(dict.fromkeys([*sides[0], *sides[1]]))
    return {k: (sides[0].get(k), sides[1].get(k)) for k in keys if sides[0].get(k) != sides[1].get(k)}


def _pairs(pairs: Mapping[str, tuple[Any, Any]], width: int) -> list[str]:
    """Three columns: name, one value, the other; long values are cut in their middle."""
    if not pairs:
        return []
    names = max(len(name) for name in pairs)
    room = max(10, (width - names - 6) // 2)
    lines = []
    for name, (a, b) in pairs.items():
        left, right = _cut(_text(a), room), _cut(_text(b), room)
        lines.append(f"  {name:<{names}}  {left:<{room}}  {right}".rstrip()[:width])
    return lines


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    half = (room - 1) // 2
    return f"{text[:half]}…{text[-(room - 1 - half) :]}"


def _column(name: str, rows: Sequence[Row]) -> list[str]:
    """The cells of a column with its name on top, all of one width."""
    cells = [name, *(_text(row.values.get(name)) for row in rows)]
    width = max(map(len, cells))
    is_number = any(isinstance(row.values.get(name), (int, float)) for row in rows)
    return [f"{cell:>{width}}" if is_number else f"{cell:<{width}}" for cell in cells]


def _fitting(columns: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """The columns that stand side by side in the terminal; the name of the run always does."""
    fitting: list[str] = []
    used = -len(GAP)
    for name, cells in columns.items():
        needed = len(GAP) + len(cells[0])
        if not fitting or used + needed <= width:
            fitting.append(name)
            used += needed
    return fitting


def _is_same(name: str, rows: Sequence[Row]) -> bool:
    """Whether all of several runs have the same value in a column that need not be repeated."""
    return (
        name not in ("run", "best")
        and len(rows) > 1
        and len({str(row.values.get(name)) for row in rows}) == 1
    )


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else number(value)


def _wrapped(title: str, parts: Sequence[str], width: int) -> list[str]:
    """Parts with commas between them, in lines that the terminal holds."""
    lines = [title]
    for i, part in enumerate(parts):
        text = part + ("," if i + 1 < len(parts) else "")
        if len(lines[-1]) + len(text) > width and lines[-1].strip():
            lines.append(" " * 4)
        lines[-1] += text + " "
    return [line.rstrip() for line in lines]
