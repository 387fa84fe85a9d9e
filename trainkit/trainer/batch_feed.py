"""Rows that come as batches, in an order of their own: a dataset, a `PyDataset` or a generator."""

from __future__ import annotations

import sys
from concurrent.futures import Future, wait
from typing import Any

from trainkit.core.helpers import HelperThreads
from trainkit.engine.inputs import EpochShape
from trainkit.trainer.joined_batches import JoinedBatches
from trainkit.trainer.keras_batches import KerasBatches
from trainkit.trainer.windows import Feed, Window

__all__ = ["BatchFeed", "DirectFeed", "ExecutionFeed"]

PATIENCE = 1.0  # seconds that an error waits for rows that are being read


class ExecutionFeed(Feed):
    """Goes from one execution of `steps_per_execution` steps to the next, as Keras's iterator says.

    Args:
        batches: The rows.
    """

    def __init__(self, batches: KerasBatches) -> None:
        super().__init__(EpochShape(1, 1))
        self.batches = batches
        self._epoch: int | None = None
        self._numbers = (0, 0)  # of the steps of the execution under way
        self._due = False  # whether it is still to be run

    @property
    def steps(self) -> int | None:
        return None

    def has_step(self, epoch: int, step: int) -> bool:
        if epoch != self._epoch:
            self._epoch = epoch
            self._due = False
            self.batches.begin_epoch()
        if not self._due:
            numbers = self.batches.advance()
            if numbers is None:
                return False
            self._numbers = numbers
            self._due = True
        return True

    def hook_steps(self, start: int, size: int) -> tuple[int, int]:
        return self._numbers

    def cut_off(self) -> None:
        self.batches.cut_off()

    def close(self) -> None:
        """There is no thread."""


class DirectFeed(ExecutionFeed):
    """Hands on the batches of one execution, which the host sees, as in `model.fit`.

    While a part of an execution is trained the next part of it is read, and nothing beyond: what callbacks do
    between executions may change the rows. Batches that are not joined are read when they are due.

    Args:
        batches: The rows.
        joined: Reads them, and goes no further than an execution.
    """

    def __init__(self, batches: KerasBatches, joined: JoinedBatches) -> None:
        super().__init__(batches)
        self.joined = joined
        self._thread = HelperThreads(1)
        self._under_way = False  # whether rows of the execution may follow
        self._current: Window | None = None
        self._ahead: Future[Window | None] | None = None

    @property
    def alone(self) -> bool:
        """Whether each call trains one batch as it came."""
        return not (self.joined.joins or self.joined.split)

    def has_step(self, epoch: int, step: int) -> bool:
        if epoch != self._epoch:
            self._end()
        return self._found(step) is not None or super().has_step(epoch, step)

    def hook_stop(self, start: int, size: int) -> int:
        first, last = self._numbers
        return start + last - first + 1  # or before, where the rows end

    def window(self, epoch: int, start: int) -> Window | None:
        if epoch != self._epoch and not self.has_step(epoch, start):
            return None
        if self._due:
            self._due = False
            self._under_way = True
            self.joined.begin()
            if self._found(start) is None:  # the rows have ended, which Keras learns now
                self.batches.advance()
        return self._found(start)

    def close(self) -> None:
        _let_go(self._thread, self._ahead)

    def _found(self, step: int) -> Window | None:
        """The rows of a step of the execution under way; None: it is over.

        Raises:
            Exception: of a batch that cannot be read, once those before it are trained.
        """
        current = self._current
        if current is not None and current.offset <= step < current.stop:
            return current
        if not self._under_way:
            return None
        ahead, self._ahead, self._current = self._ahead, None, None
        self._under_way = False
        current = self.joined.window(step) if ahead is None else ahead.result()
        self._under_way = current is not None and self.joined.holds_more
        if current is not None and self._under_way and self.joined.joins:
            self._ahead = self._thread.submit(self.joined.window, current.stop)
        self._current = current
        return current

    def _end(self) -> None:
        """Let go of an execution that was cut off: a batch of it that cannot be read is not missed."""
        if self._ahead is not None:
            self._ahead.exception()
        self._under_way, self._current, self._ahead = False, None, None


class BatchFeed(Feed):
    """Reads an epoch's batches ahead. Only the end of the rows says how many steps it has.

    Args:
        batches: The rows.
        joined: Reads them.
    """

    def __init__(self, batches: KerasBatches, joined: JoinedBatches) -> None:
        super().__init__(EpochShape(1, 1))
        self.batches = batches
        self.joined = joined
        self._thread = HelperThreads(1)
        self._ahead: Future[Window | None] | None = None
        self._current: Window | None = None
        self._number: int | None = None  # of the epoch that is being read

    @property
    def steps(self) -> int | None:
        return None

    def window(self, epoch: int, start: int) -> Window | None:
        current = self._current
        if current is not None and self._number == epoch and current.offset <= start < current.stop:
            return current
        if self._number != epoch:
            self._number = epoch
            self._begin_epoch()
        found = self._ahead.result() if self._ahead is not None else self.joined.window(start)
        self._ahead = None
        if found is None:
            self.batches.advance()
            return None
        if self.joined.holds_more:
            self._ahead = self._thread.submit(self.joined.window, found.stop)
        self._current = found
        return found

    def close(self) -> None:
        _let_go(self._thread, self._ahead)

    def _begin_epoch(self) -> None:
        if self._ahead is not None:  # of an epoch that was cut off: a batch that failed in it is not missed
            self._ahead.exception()
        self._ahead = None
        self._current = None
        self.batches.begin_epoch()
        self.joined.begin()


def _let_go(thread: HelperThreads, ahead: Future[Any] | None) -> None:
    """End a thread that reads ahead. An error, or Ctrl-C, does not wait for rows that may never come."""
    if ahead is not None and sys.exc_info()[0] is not None:
        wait([ahead], PATIENCE)
        thread.shutdown(wait=ahead.done(), cancel_futures=True)
    else:
        thread.shutdown(cancel_futures=True)
