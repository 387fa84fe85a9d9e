"""The order of the training rows in each epoch, made ahead in another thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import tensorflow as tf

from trainkit.core.helpers import HelperThreads

__all__ = ["RowOrders"]


class RowOrders:
    """Row orders `[max_epochs, rows]` int32 as tensors, one call's at a time.

    The order of an epoch is a pure function of (seed, epoch); here it is only kept for the next call on the
    same epochs, and made ahead while a call computes: for 11 steps per epoch that is 7 % of the time.

    Args:
        order: Gives the order `[rows]` of an epoch.
        rows: Training rows.
        max_epochs: Epochs per call, at most.
    """

    def __init__(self, order: Callable[[int], np.ndarray], rows: int, max_epochs: int) -> None:
        self.order = order
        self.rows = rows
        self.max_epochs = max_epochs
        self._thread = HelperThreads(1)  # starts nothing before it is used
        self._ahead: tuple[range, Future[tf.Tensor]] | None = None
        self._epochs = range(0)
        self._orders: tf.Tensor | None = None

    def __call__(self, epoch: int, count: int = 1) -> tf.Tensor:
        """Orders of at least `count` epochs from `epoch` on; what is more is unused."""
        if self._ahead is not None and self._covers(self._ahead[0], epoch, count):
            self._epochs, future = self._ahead
            self._orders = future.result()
            self._ahead = None
        if self._orders is None or not self._covers(self._epochs, epoch, count):
            self._epochs = range(epoch, epoch + count)
            self._orders = self._make(self._epochs)
        return self._orders

    def prepare(self, epoch: int, count: int) -> None:
        """Make the orders of the next call in another thread."""
        epochs = range(epoch, epoch + min(count, self.max_epochs))
        if len(epochs):
            self._ahead = (epochs, self._thread.submit(self._make, epochs))

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _covers(epochs: range, epoch: int, count: int) -> bool:
        return len(epochs) > 0 and epochs[0] == epoch and len(epochs) >= count

    def _make(self, epochs: range) -> tf.Tensor:
        orders = np.zeros([self.max_epochs, self.rows], np.int32)
        for i, epoch in enumerate(epochs):
            orders[i] = self.order(epoch)
        return tf.constant(orders)
