"""What a training shows of itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable
from typing import IO, Any

from trainkit.callbacks.observer import Observer


def make(kind: str = "auto", stream: IO[str] | None = None) -> Observer:
    """The progress display: `rich` bars, `plain` lines, or with `auto` bars on a terminal and lines elsewhere."""
    out = stream or sys.stdout
    if kind == "rich" or (kind == "auto" and out.isatty()):
        return Bars(out)
    return Lines(out)


def values(logs: dict[str, Any] | None) -> str:
    """`loss 0.1234  accuracy 0.9876`, validation behind it."""
    ordered = sorted(
        (logs or {}).items(),
        key=lambda item: (item[0].startswith("val_"), not item[0].endswith("loss"), item[0]),
    )
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

    def __init__(
        self, stream: IO[str], every: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
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
    """A bar of epochs and a bar of the steps of the current one with the time that is left; below them the values, and the speed.

    Where nobody calls `close`, because the training failed, the end of the process does.
    """

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self.stream = stream
        self._live: Any = None
        self._shown = {"training": "", "validation": "", "speed": ""}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=self.stream)
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._epochs = self._bars.add_task(
            "epochs", total=self.params["epochs"], completed=self.params["initial_epoch"]
        )
        self._steps = self._bars.add_task("steps", total=self.params["steps"])
        self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=8)
        self._live.start()
        atexit.register(self.close)

    def _picture(self) -> Any:
        """The bars, and the lines below them, which wrap where the terminal is narrow."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for label, shown in self._shown.items():
            if shown:
                table.add_row(f"{label:<10}", Text(shown, style="cyan"))
        return Group(self._bars, table)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._bars.update(self._steps, completed=batch + 1)
        self._shown["training"] = values(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        validated = {
            name.removeprefix("val_"): value
            for name, value in (logs or {}).items()
            if name.startswith("val_")
        }
        trained = {name: value for name, value in (logs or {}).items() if not name.startswith("val_")}
        self._shown["training"], self._shown["speed"] = values(trained), rate(self.params["record"])
        self._shown["validation"] = values(validated) or self._shown["validation"]
        self._bars.update(self._epochs, completed=epoch + 1)
        self._bars.update(
            self._steps, completed=self.params["steps"] if epoch + 1 == self.params["epochs"] else 0
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            atexit.unregister(self.close)
