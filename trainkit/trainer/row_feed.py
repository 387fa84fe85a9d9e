"""Rows of arrays for a short training: one batch after the other, as `model.fit` reads them."""

from __future__ import annotations

import numpy as np

from trainkit.engine.inputs import resident
from trainkit.trainer.joined_batches import direct_window
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.windows import Feed, Window

__all__ = ["RowFeed"]


class RowFeed(Feed):
    """Gathers one batch at a time on the host.

    A program of single batches is traced sooner than one of whole epochs, and serves any number of rows.

    Args:
        setup: The model made ready, whose rows are arrays.
    """

    def __init__(self, setup: TrainSetup) -> None:
        super().__init__(setup.shape)
        self.source = setup.source
        self.strategy = setup.strategy
        self._order: tuple[int, np.ndarray] | None = None

    def window(self, epoch: int, start: int) -> Window | None:
        shape = self.shape
        if start >= shape.steps:
            return None
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self.source.order(epoch))
        rows = self._order[1][start * shape.step_rows : min((start + 1) * shape.step_rows, shape.rows)]
        return direct_window(resident(self.source.picked(epoch, rows), self.strategy), start)

    def close(self) -> None:
        """There is no thread."""
