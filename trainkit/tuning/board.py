"""How a search is told: a live leaderboard on a terminal, lines elsewhere, and the command's last lines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

from trainkit.callbacks.progress import LiveText
from trainkit.tuning.results import REPORT, TABLE, counts, shown_values
from trainkit.tuning.study import Entry

if TYPE_CHECKING:
    from trainkit.tuning.search import Search

__all__ = ["Board", "closing_lines", "leaderboard", "progress_line"]

LEADERS = 5
LINE_SECONDS = 2.0  # between two lines, where there is no terminal


class Board:
    """Tells of a search while it runs.

    Args:
        kind: `auto`, `rich`, `plain` or `none`: `auto` is a live table on a terminal and lines elsewhere.
        stream: Where to write.
    """

    def __init__(self, kind: str, stream: IO[str]) -> None:
        self.kind = kind
        self.stream = stream
        self._search: Search | None = None
        self._live: LiveText | None = None
        self._began = time.monotonic()
        self._before: int | None = None
        self._told = -LINE_SECONDS

    def begin(self, search: Search) -> None:
        """Tell of this search from now on."""
        self._search = search
        if self.kind == "rich" or (self.kind == "auto" and self.stream.isatty()):
            self._live = LiveText(self.stream)

    def __call__(self, entries: list[Entry]) -> None:
        if self._search is None or self.kind == "none":
            return
        done = len(entries) - counts(entries)["running"]
        if self._before is None:
            self._before = done
        here = done - self._before
        limit = self._search.study.limit
        left = (time.monotonic() - self._began) / here * (limit - done) if here else None
        line = progress_line(entries, limit, left)
        if self._live is not None:
            table = leaderboard(entries, self._search.study.best(), self._search.objectives)
            self._live.show("\n".join([*table, line]))
        elif time.monotonic() - self._told >= LINE_SECONDS or done == limit:
            self._told = time.monotonic()
            best = self._search.study.best()
            shown = (
                f"  best {shown_values(best[0], self._search.objectives)} (trial {best[0].number})"
                if best
                else ""
            )
            self.stream.write(f"{line}{shown}\n")
            self.stream.flush()

    def close(self) -> None:
        """Take the table away; the closing lines have it."""
        if self._live is not None:
            self._live.close()
            self._live = None


def progress_line(entries: Sequence[Entry], limit: int, seconds_left: float | None) -> str:
    """`12/50 trials done, 2 running, 1 failed, about 40 s left`."""
    states = counts(entries)
    done = len(entries) - states["running"]
    parts = [f"{done}/{limit} trials done"]
    parts += [f"{states[name]} {name}" for name in ("running", "pruned", "failed") if states[name]]
    if seconds_left is not None and done < limit:
        parts.append(f"about {_duration(seconds_left)} left")
    return ", ".join(parts)


def leaderboard(entries: Sequence[Entry], best: Sequence[Entry], objectives: Sequence[str]) -> list[str]:
    """The best trials with their settings, a line each under a line of names."""
    done = [entry for entry in entries if entry.state == "complete"]
    if not done or not best:
        return []
    front = {entry.number for entry in best}
    falling = len(done) > 1 and best[0].values[0] == max(entry.values[0] for entry in done)
    done.sort(key=lambda entry: (entry.number not in front, -entry.values[0] if falling else entry.values[0]))
    keys = list(done[0].settings)
    heads = ["trial", *objectives, *_short_names(keys)]
    rows = [
        [str(e.number), *(f"{v:.6g}" for v in e.values), *(_short(e.settings.get(key)) for key in keys)]
        for e in done[:LEADERS]
    ]
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]


def closing_lines(search: Search, entries: Sequence[Entry], folder: str, commands: Mapping[str, str]) -> str:
    """The last lines of a search: its table of leaders, where it is, and what to do with it.

    Args:
        search: The search.
        entries: All trials.
        folder: Of the search, as people type it.
        commands: `continue`, and `train` if a trial is complete.
    """
    best = search.study.best()
    lines = ["", *leaderboard(entries, best, search.objectives), ""]
    failed = [entry for entry in entries if entry.state == "failed"]
    lines.append(f"Search:    {folder} ({progress_line(entries, search.study.limit, None)})")
    lines.append(f"Trials:    {folder}/{TABLE}, {folder}/{REPORT}")
    if failed:
        lines.append(f"Failed:    trial {failed[0].number}: {failed[0].reason}")
    if best:
        lines.append(f"Best:      {shown_values(best[0], search.objectives)} (trial {best[0].number})")
    if "train" in commands:
        lines.append(f"Train it:  {commands['train']}")
    if len(entries) < search.study.limit or any(entry.state == "running" for entry in entries):
        lines.append(f"Continue:  {commands['continue']}")
    return "\n".join(lines)


def _short_names(keys: Sequence[str]) -> list[str]:
    """The last part of each key, where no other key ends alike: a table has to fit a terminal."""
    last = [key.rpartition(".")[2] for key in keys]
    return [key if last.count(name) > 1 else name for key, name in zip(keys, last, strict=True)]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
