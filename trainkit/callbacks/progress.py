"""Shows how a training goes: bars on a terminal, plain lines elsewhere. The only place that knows rich."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from trainkit.callbacks.notebook import NotebookTable, in_notebook
from trainkit.callbacks.observer import Observer
from trainkit.core.figures import duration, left_out, rate, share
from trainkit.core.logs import in_reading_order, split_logs
from trainkit.core.run_info import EpochRecord

LEFT = 5.0  # seconds of a training that are worth telling
EPOCH_LINE_SECONDS = 0.2  # between two lines of epochs above the bars

__all__ = ["Bars", "Lines", "LiveText", "format_speed", "format_values", "make"]


def make(kind: str = "auto", stream: IO[str] | None = None) -> Observer:
    """The progress display of a training.

    Args:
        kind: `rich` for bars, `plain` for lines; `auto` for a table in a notebook, bars on a terminal and
            lines elsewhere.
        stream: Where to show it; default: standard output.
    """
    out = stream or sys.stdout
    if kind == "auto" and out is sys.stdout and in_notebook():
        return NotebookTable()
    if kind == "rich" or (kind == "auto" and out.isatty()):
        return Bars(out)
    return Lines(out)


def format_values(logs: Mapping[str, Any] | None) -> str:
    """`loss 0.1234  accuracy 0.9876  val_loss 0.2345`: training before validation, losses before metrics."""
    logs = logs or {}
    return "  ".join(f"{name} {logs[name]:.4g}" for name in in_reading_order(logs))


def format_speed(record: EpochRecord) -> str:
    """`52,300 examples/s`, with the arithmetic speed where it is known."""
    parts = [rate(record.examples_per_second, "examples/s")]
    if record.tflops:
        parts.append(f"{record.tflops * 1000:.3g} GFLOP/s")
    reached = share(record.roofline_fraction)
    if reached:
        parts.append(f"{reached} of ceiling")
    return ", ".join(parts)


def format_epoch(epoch: int, epochs: int, logs: Mapping[str, Any] | None, record: EpochRecord) -> str:
    """`Epoch 3/20  loss 0.1234  (1.2 s, 52,300 examples/s, 20.4 s left)`; what is left from `LEFT` on."""
    parts = [duration(record.seconds), format_speed(record)]
    left = (epochs - epoch - 1) * record.seconds
    if left >= LEFT:
        parts.append(f"{duration(left)} left")
    if skipped := left_out(record.skipped_steps, record.step):
        parts.append(f"{skipped} so far")
    number = f"Epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"
    return f"{number}  {format_values(logs)}  ({', '.join(parts)})"


class Lines(Observer):
    """Writes a line per epoch, at most one per second or so; the first and the last are always written.

    Args:
        stream: Where to write.
        every: Seconds between two lines, at the least.
        clock: Gives seconds; for tests.
    """

    def __init__(
        self, stream: IO[str], every: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.stream = stream
        self.every = every
        self.clock = clock
        self._shown_at = float("-inf")
        self._pending = ""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._pending = ""
        self._shown_at = float("-inf")
        print("Compiling; the first epoch follows.", file=self.stream, flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        total = self.run.epochs
        self._pending = format_epoch(epoch, total, logs, self.record)
        if epoch + 1 >= total or self.clock() - self._shown_at >= self.every:
            self._show()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._show()

    def _show(self) -> None:
        if self._pending:
            print(self._pending, file=self.stream, flush=True)
            self._pending = ""
            self._shown_at = self.clock()


class Bars(Observer):
    """Shows a bar of the epochs and one of the steps of the current epoch, the values and the speed.

    Each epoch leaves a line above the bars, but where several end within a moment.

    The terminal is given back when the training ends or fails: at the latest with the process.

    Args:
        stream: The terminal.
        clock: Gives seconds; for tests.
    """

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.stream = stream
        self.clock = clock
        self._live: Any = None
        self._shown: dict[str, str] = {}
        self._line = ""
        self._line_at = float("-inf")
        self._between_epochs = False

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
        self._shown = {"training": "compiling", "validation": "", "speed": ""}
        self._line = ""
        self._between_epochs = False
        run = self.run
        self._epochs = self._bars.add_task("epochs", total=run.epochs, completed=run.initial_epoch)
        self._steps = self._bars.add_task("steps", total=run.steps_per_epoch)
        self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=8)
        self._live.start()
        atexit.register(self.close)

    def _picture(self) -> Any:
        """The bars, and the lines below them, which wrap on a narrow terminal."""
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
        self._between_epochs = False
        self._shown["training"] = format_values(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        train, validation = split_logs(logs or {})
        self._shown["training"] = format_values(train)
        self._shown["validation"] = format_values(validation) or self._shown["validation"]
        self._shown["speed"] = format_speed(self.record)
        is_last = epoch + 1 == self.run.epochs
        self._line = format_epoch(epoch, self.run.epochs, logs, self.record)
        if is_last or self.clock() - self._line_at >= EPOCH_LINE_SECONDS:
            self._leave_line()
        self._bars.update(self._epochs, completed=epoch + 1)
        self._bars.update(self._steps, completed=self.run.steps_per_epoch if is_last else 0)
        self._between_epochs = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._between_epochs:
            self._bars.update(self._steps, completed=self.run.steps_per_epoch)
        self._leave_line()
        self.close()

    def on_failure(self) -> None:
        self.close()

    def _leave_line(self) -> None:
        """Print the line of the last epoch above the bars, if that is not done yet."""
        if self._live is not None and self._line:
            self._live.console.print(self._line, highlight=False, markup=False)
            self._line = ""
            self._line_at = self.clock()

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        if self._live is not None:
            self._live.stop()
            if not self._live.console.is_terminal:
                self._live.console.line()  # which rich leaves out there
            self._live = None
            atexit.unregister(self.close)


class LiveText:
    """A few lines on a terminal that are written anew in place, cut to its width: the leaderboard of a
    search.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=stream), auto_refresh=False, transient=True)
        self._live.start()

    def show(self, text: str) -> None:
        """Write other lines in place of the last ones."""
        from rich.text import Text

        self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """Take the lines away."""
        self._live.stop()
