"""Shows how far a download or a conversion is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Progress", "Write"]

REDRAW_SECONDS = 0.1

Write = Callable[[str], Any]


class Progress:
    """Shows a work in bytes: one line where the output is a file, a bar where it is a terminal.

    Args:
        verb: What is done, such as `Downloading`.
        name: To what.
        total: Bytes to come; 0: not known.
        write: Takes the text.
    """

    def __init__(self, verb: str, name: str, total: int, write: Write) -> None:
        self.verb = verb
        self.name = name
        self.total = total
        self.write = write
        self.done = 0
        self.live = write == sys.stderr.write and sys.stderr.isatty()
        self.drawn = 0.0

    def __enter__(self) -> Self:
        size = f" ({self.total / 1e6:.1f} MB)" if self.total else ""
        self.write(f"{self.verb} {self.name}{size} ..." + ("" if self.live else "\n"))
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.write("\n")  # what comes next, an error too, starts a new line

    def add(self, count: int) -> None:
        """Count bytes that have come, and draw the bar again if it is time."""
        self.done += count
        if self.live and (time.monotonic() - self.drawn > REDRAW_SECONDS or self.done == self.total):
            self.drawn = time.monotonic()
            self.write(f"\r{self.bar()}")
            sys.stderr.flush()

    def bar(self) -> str:
        """The progress as one line."""
        filled = round(30 * self.done / self.total) if self.total else 0
        of_total = f" of {self.total / 1e6:.1f}" if self.total else ""
        bar = f"{'=' * filled}{' ' * (30 - filled)}"
        return f"{self.verb} {self.name} [{bar}] {self.done / 1e6:.1f}{of_total} MB"
