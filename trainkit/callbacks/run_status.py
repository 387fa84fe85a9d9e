"""Keeps the `status.json` of a run alive."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.core.errors import UserError
from trainkit.core.held import FolderMoved

__all__ = ["RunStatus"]


class RunStatus(Observer):
    """Has the position written every few seconds, so that others see where the training stands.

    Args:
        write: Writes the current position.
        every: Seconds between two writes, at the least.
        clock: Gives seconds; for tests.
    """

    def __init__(
        self,
        write: Callable[[], None],
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.write = write
        self.every = every
        self.clock = clock
        self._written_at = clock()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._write_if_due()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._write_if_due()

    def _write_if_due(self) -> None:
        if self.clock() - self._written_at >= self.every:
            try:
                self.write()
            except FolderMoved:  # there is nothing to write for any more
                raise
            except UserError as error:  # a full disk, say
                warnings.warn(f"{error} The training goes on.", stacklevel=2)
            self._written_at = self.clock()
