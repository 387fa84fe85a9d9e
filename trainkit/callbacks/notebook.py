"""Shows a training in a notebook as a table that is written anew in place. Only this knows IPython."""

from __future__ import annotations

import html
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.core.figures import duration, number, rate
from trainkit.core.logs import in_reading_order

LAST = 12  # epochs that the table shows

__all__ = ["NotebookTable", "in_notebook"]


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows HTML and replaces what it has shown."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class NotebookTable(Observer):
    """A bar of the training, and a row for each of the newest epochs.

    Args:
        every: Seconds between two pictures, at the least; the last one is always shown.
        clock: Gives seconds; for tests.
    """

    def __init__(self, every: float = 0.25, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.every = every
        self.clock = clock
        self._handle: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        from IPython.display import DisplayHandle

        self._names: list[str] = []
        self._rows: deque[Mapping[str, str]] = deque(maxlen=LAST)
        self._done = self.run.initial_epoch
        self._left = ""
        self._shown_at = float("-inf")
        self._handle = DisplayHandle()
        self._handle.display(self._picture("compiling", self._done), raw=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        steps = max(self.run.steps_per_epoch, batch + 1)
        state = f"epoch {self._done + 1} of {self.run.epochs}, step {batch + 1} of {steps}{self._left}"
        self._show(state, self._done + (batch + 1) / steps, self._row("…", logs or {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        record = self.record
        speed = rate(record.examples_per_second, "examples/s")
        about = {"time": duration(record.seconds), "speed": speed}
        self._rows.append({**self._row(str(epoch + 1), logs or {}), **about})
        self._done = epoch + 1
        left = (self.run.epochs - self._done) * record.seconds
        self._left = f", {duration(left)} left" if left >= 1 else ""
        self._show(f"epoch {self._done} of {self.run.epochs}{self._left}", self._done)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._shown_at = float("-inf")
        early = self._done < self.run.epochs
        self._show(f"ended after epoch {self._done} of {self.run.epochs}" if early else "", self._done)

    def on_failure(self) -> None:
        if self._handle is None:  # it failed before the training began
            return
        self._shown_at = float("-inf")
        self._show(f"failed in epoch {self._done + 1} of {self.run.epochs}", self._done)

    def _row(self, epoch: str, logs: Mapping[str, Any]) -> dict[str, str]:
        self._names += [name for name in logs if name not in self._names]
        return {"epoch": epoch, **{name: _text(value) for name, value in logs.items()}}

    def _show(self, state: str, done: float, current: Mapping[str, str] | None = None) -> None:
        """Replace the picture, if the last one is old enough."""
        if self.clock() - self._shown_at >= self.every:
            self._shown_at = self.clock()
            self._handle.update(self._picture(state, done, current), raw=True)

    def _picture(self, state: str, done: float, current: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a notebook shows, and what a program that shows texts alone does."""
        rows = [*self._rows, *([current] if current else [])]
        columns = ["epoch", *in_reading_order(self._names), "time", "speed"]
        bar = f'<progress max="{self.run.epochs}" value="{done:.4g}"></progress> {html.escape(state)}'
        lines = [_line("th", columns), *(_line("td", [row.get(c, "") for c in columns]) for row in rows)]
        newest = "  ".join(f"{name} {value}" for name, value in rows[-1].items()) if rows else state
        return {"text/html": f"{bar}<table>{''.join(lines)}</table>" if rows else bar, "text/plain": newest}


def _text(value: Any) -> str:
    """A logged value; a callback may log anything."""
    try:
        return number(float(value))
    except (TypeError, ValueError):
        return str(value)


def _line(cell: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{html.escape(text)}</{cell}>' for text in texts)}</tr>"
