"""Rows that come as batches, in an order of their own: a dataset, a `PyDataset` or a generator."""

from __future__ import annotations

from concurrent.futures import Future

from trainkit.core.helpers import HelperThreads
from trainkit.engine.inputs import EpochShape
from trainkit.trainer.joined_batches import JoinedBatches
from trainkit.trainer.keras_batches import KerasBatches
from trainkit.trainer.windows import Feed, Window

__all__ = ["BatchFeed", "DirectFeed", "ExecutionFeed"]


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
            numbers = self._advance()
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

    def _advance(self) -> tuple[int, int] | None:
        return self.batches.advance()


class DirectFeed(ExecutionFeed):
    """Hands on the batches of one execution, which the host sees, as in `model.fit`.

    Args:
        batches: The rows.
        joined: Reads them, and goes no further than an execution.
        ahead: Whether it may read the next execution of an epoch while one is trained: nothing that is done
            between them has a say in the rows.
    """

    def __init__(self, batches: KerasBatches, joined: JoinedBatches, *, ahead: bool = False) -> None:
        super().__init__(batches)
        self.joined = joined
        self.ahead = ahead
        self._windows: list[Window] = []  # of the execution
        self._failed: Exception | None = None  # of the batch after them
        self._thread = HelperThreads(1)
        self._next: Future[tuple[int, int] | None] | None = None  # numbers of the one that is read ahead
        self._read_ahead: tuple[list[Window], Exception | None] | None = None  # and what was read of it

    @property
    def alone(self) -> bool:
        """Whether each call trains one batch as it came."""
        return not self.joined.joins

    def has_step(self, epoch: int, step: int) -> bool:
        if epoch != self._epoch:
            self._forget()
        return self._failed is not None or self._holds(step) or super().has_step(epoch, step)

    def hook_stop(self, start: int, size: int) -> int:
        return self._windows[-1].stop + (self._failed is not None)

    def window(self, epoch: int, start: int) -> Window | None:
        if not self.has_step(epoch, start):
            return None
        if self._due:
            self._due = False
            read, self._read_ahead = self._read_ahead, None
            self._windows, self._failed = read or self._read(start)
            if self.ahead and self._windows and self._failed is None and self.batches.goes_on:
                self._next = self._thread.submit(self._go_ahead, self._windows[-1].stop)
        while self._windows and self._windows[0].stop <= start:
            del self._windows[0]
        if self._failed is not None and not self._windows:
            failed, self._failed = self._failed, None
            raise failed
        return self._windows[0] if self._windows else None

    def cut_off(self) -> None:
        ahead = self._next is not None and self._next.result() is not None
        self.batches.cut_off(ahead=int(ahead))

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _advance(self) -> tuple[int, int] | None:
        following, self._next = self._next, None
        return self.batches.advance() if following is None else following.result()

    def _holds(self, step: int) -> bool:
        return bool(self._windows) and self._windows[0].offset <= step < self._windows[-1].stop

    def _go_ahead(self, start: int) -> tuple[int, int] | None:
        numbers = self.batches.advance()
        if numbers is not None:
            self._read_ahead = self._read(start)
        return numbers

    def _read(self, start: int) -> tuple[list[Window], Exception | None]:
        """All windows of an execution; what came before a batch that cannot be read trains first."""
        windows: list[Window] = []
        self.joined.begin()
        try:
            while (window := self.joined.window(start)) is not None:
                windows.append(window)
                start = window.stop
        except Exception as error:
            return windows, error
        return windows, None

    def _forget(self) -> None:
        """Let go of an epoch that was cut off: a batch of it that cannot be read is not missed."""
        if self._next is not None:
            self._next.exception()
        self._windows, self._failed, self._next, self._read_ahead = [], None, None, None


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
            return None
        if self.joined.goes_on:
            self._ahead = self._thread.submit(self.joined.window, found.stop)
        self._current = found
        return found

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _begin_epoch(self) -> None:
        if self._ahead is not None:  # of an epoch that was cut off: a batch that failed in it is not missed
            self._ahead.exception()
        self._ahead = None
        self._current = None
        self.batches.begin_epoch()
        self.joined.begin()
