"""Small observers of a run: its opening lines on the terminal, its `status.json`, and a learning rate that was changed on resuming."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trainkit.callbacks.observer import Observer


class Status(Observer):
    """Keeps the position in `status.json` up to date, at most every few seconds.

    Args:
        write: Takes `epoch` and `step`.
        every: Seconds between two writes.
        clock: Seconds; for tests.
    """

    def __init__(
        self,
        write: Callable[[int, int], None],
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.write, self.every, self.clock, self.written = write, every, clock, clock()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.clock() - self.written >= self.every:
            self.write(epoch + 1, self.params["record"]["step"])
            self.written = self.clock()
