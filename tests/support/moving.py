"""A callback that moves the directory of its own run away while it trains, or removes it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import keras

__all__ = ["Move"]

LIMIT_SECONDS = 60.0


class Move(keras.callbacks.Callback):
    """Moves a folder at the end of the second epoch, once what it awaits is in it.

    Args:
        old: The folder.
        new: Where to; None: it is removed.
        awaits: What a thread writes in it before.
        then: Signal that is sent after it.
        fails: Whether an error follows.
    """

    def __init__(
        self,
        old: str,
        new: str | None,
        awaits: str = "checkpoints/last/checkpoint.json",
        then: int | None = None,
        fails: bool = False,
    ) -> None:
        super().__init__()
        self.old = Path(old)
        self.new = new
        self.awaits = awaits
        self.then = then
        self.fails = fails

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch != 1:
            return
        limit = time.monotonic() + LIMIT_SECONDS
        while not (self.old / self.awaits).exists() and time.monotonic() < limit:
            time.sleep(0.01)
        os.rename(self.old, self.new or "removed")
        if self.new is None:
            shutil.rmtree("removed")
        if self.then is not None:
            os.kill(os.getpid(), self.then)
        if self.fails:
            raise RuntimeError("the lamp went out")
