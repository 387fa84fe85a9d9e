"""What a training shows of itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import IO, Any

from trainkit.state import Observer


def make(kind: str = "auto", stream: IO[str] | None = None) -> Observer:
    """The progress display: `rich` bars, `plain` lines, or with `auto` bars on a terminal and lines elsewhere."""
    out = stream or sys.stdout
    if kind == "rich" or (kind == "auto" and out.isatty()):
        return Bars(out)
    return Lines(out)


def values(logs: dict[str, Any] | None) -> str:
    """`loss 0.1234  accuracy 0.9876`, validation behind it."""
    ordered = sorted((logs or {}).items(), key=lambda item: (item[0].startswith("val_"), not item[0].endswith("loss"), item[0]))
    return "  ".join(f"{name} {value:.4g}" for name, value in ordered)


def rate(record: dict[str, Any]) -> str:
    """`52,300 examples/s`, with the arithmetic speed where it is known."""
    text = f"{record['examples_per_second']:,.0f} examples/s"
    if "tflops" in record:
        text += f", {record['tflops'] * 1000:.3g} GFLOP/s"
    if "ceiling_share" in record:
        text += f", {record['ceiling_share']:.0%} of ceiling"
    return text


class Lines(Observer):
    """One line an epoch, at most one a second or so; the first and the last are always shown.

    Args:
        stream: Where to write.
        every: Seconds between lines.
        clock: Seconds; for tests.
    """

    def __init__(self, stream: IO[str], every: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.stream, self.every, self.clock = stream, every, clock
        self._shown = float("-inf")
        self._held = ""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        total, record = self.params["epochs"], self.params["record"]
        line = f"Epoch {epoch + 1:>{len(str(total))}}/{total}  {values(logs)}  ({record['seconds']:.3g} s, {rate(record)})"
        if self.clock() - self._shown < self.every and epoch + 1 < total:
            self._held = line
            return
        self._show(line)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._held:
            self._show(self._held)

    def _show(self, line: str) -> None:
        self._shown, self._held = self.clock(), ""
        print(line, file=self.stream, flush=True)


class Bars(Observer):
    """A bar of epochs and a bar of the steps of the current one, with values, examples/s and the time that is left."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self.stream = stream
        self._bars: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        text = TextColumn("{task.fields[values]}", style="cyan")
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(compact=True), text)
        self._bars = Progress(*columns, console=Console(file=self.stream), refresh_per_second=8)
        self._epochs = self._bars.add_task("epochs", total=self.params["epochs"], completed=self.params["initial_epoch"], values="")
        self._steps = self._bars.add_task("steps ", total=self.params["steps"], values="")
        self._bars.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._bars.update(self._steps, completed=batch + 1, values=values(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        shown = f"{values(logs)}  {rate(self.params['record'])}"
        self._bars.update(self._epochs, completed=epoch + 1, values=shown)
        self._bars.update(self._steps, completed=self.params["steps"] if epoch + 1 == self.params["epochs"] else 0, values="")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
