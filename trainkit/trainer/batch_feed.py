"""Rows that come as batches, in an order of their own: a dataset, a `PyDataset` or a generator."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

import tensorflow as tf

from trainkit.core.errors import UserError
from trainkit.core.tree import Structure, leaves
from trainkit.engine.inputs import EpochShape
from trainkit.trainer.batch_forms import of_one_length, row_shapes, rows_of, signature_of
from trainkit.trainer.keras_batches import KerasBatches
from trainkit.trainer.windows import CHUNK_BYTES, Feed, Window

__all__ = ["BatchFeed", "DirectFeed", "ExecutionFeed", "direct_window"]

MAX_STEPS = 64  # batches that are read ahead, at the most
FEW = 8  # equal batches, one after the other, that are worth a trace of joined ones


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
    """Hands on one batch at a time, and reads none ahead: the host sees each step, as in `model.fit`.

    Args:
        batches: The rows.
    """

    def __init__(self, batches: KerasBatches) -> None:
        super().__init__(batches)
        self._queue: list[Structure] = []
        self._current: Window | None = None

    def has_step(self, epoch: int, step: int) -> bool:
        if epoch != self._epoch:
            self._queue = []
            self._current = None
        return bool(self._queue) or super().has_step(epoch, step)

    def hook_stop(self, start: int, size: int) -> int:
        return start + 1 + len(self._queue)

    def window(self, epoch: int, start: int) -> Window | None:
        current = self._current
        if current is not None and epoch == self._epoch and current.offset == start:
            return current
        if not self.has_step(epoch, start):
            return None
        if self._due:
            self._due = False
            self._queue = self.batches.read()
        self._current = direct_window(self._queue.pop(0), start) if self._queue else None
        return self._current


class BatchFeed(Feed):
    """Reads an epoch's batches ahead and hands them on in windows of equal batches.

    A batch that differs from the first one (a ragged last one), or that cannot be joined with others (ragged
    or sparse tensors, no rows), is a window by itself. Only the end of the rows says how many steps an epoch
    has.

    Args:
        batches: The rows.
        split: Whether a batch is trained in several parts, on replicas: then it is gathered from a window.
        joins: Whether batches may be joined; else each is a window by itself.
        alone: The first batches that are windows by themselves in any case; None: all.
        chunk_bytes: Size of a window; it holds one batch at the least.
    """

    def __init__(
        self,
        batches: KerasBatches,
        *,
        split: bool = False,
        joins: bool = True,
        alone: int | None = 0,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        super().__init__(EpochShape(1, 1))
        self.batches = batches
        self.split = split
        self.joins = joins
        self.alone = alone
        self.chunk_bytes = chunk_bytes
        self._thread = ThreadPoolExecutor(1)
        self._epoch: Iterator[Structure] | None = None
        self._held: deque[Structure] = deque()  # batches that did not fit the window before
        self._failed: Exception | None = None  # of the batch after those of the window before
        self._ahead: Future[tuple[Any, ...] | None] | None = None
        self._current: Window | None = None
        self._number: int | None = None  # of the epoch that is being read
        self._usual: Any = None  # signature of the first batch
        self._steps = 1
        self._identity: tf.Tensor | None = None

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
        found = self._ahead.result() if self._ahead is not None else self._read()
        self._ahead = None
        if found is None:
            return None
        rows, count, steps, direct = found
        if self._epoch is not None or self._held:
            self._ahead = self._thread.submit(self._read)
        self._current = self._window(start, rows, count, steps, direct)
        return self._current

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._epoch = None

    def _begin_epoch(self) -> None:
        if self._ahead is not None:  # of an epoch that was cut off
            self._ahead.result()
        self._ahead = None
        self._held.clear()
        self._failed = None
        self._current = None
        self._epoch = self.batches.epoch()

    def _window(self, start: int, rows: Structure, count: int, steps: int, direct: bool) -> Window:
        if not direct and self._identity is not None:
            shape = EpochShape(count, self._steps)
            return Window(rows, self._identity, start, start + steps, shape, start)
        if self.split and not count:
            raise UserError(
                f"Step {start + 1} of the epoch got a batch of no rows, which cannot be divided over "
                "replicas; leave such batches out, or set exact=True."
            )
        if self.split and not of_one_length(rows):
            counts = [tuple(t.shape[:1]) for t in leaves(rows)]
            raise UserError(
                f"Step {start + 1} of the epoch got a batch of tensors with different numbers of rows, "
                f"{counts}, which cannot be divided over replicas; train on one device, or set exact=True."
            )
        if self.split:
            return Window(rows, tf.range(count)[None], start, start + 1, EpochShape(count, 1), start)
        return direct_window(rows, start)

    def _read(self) -> tuple[Any, ...] | None:
        """Rows, rows per step, steps and whether they are one batch as it came; None: the epoch is over."""
        first = self._next()
        if first is None:
            return None
        joins = self.joins and self.alone == 0
        if self.alone:
            self.alone -= 1
        signature = signature_of(first) if joins else None
        begins = self._usual is None
        if begins and signature is not None:
            self._usual = signature
            self._steps = self._steps_per_window(first)
            numbers = tf.range(self._steps * rows_of(first))
            self._identity = numbers[None]
        if signature is None or signature != self._usual:
            return first, rows_of(first), 1, True
        joined = [first]
        while len(joined) < self._steps:
            try:
                batch = self._next()
            except Exception as error:  # what came before it trains first, as in Keras
                self._failed = error
                break
            if batch is None:
                break
            if signature_of(batch) != self._usual:
                self._held.appendleft(batch)
                break
            joined.append(batch)
        few = len(joined) < FEW and self._held and row_shapes(self._held[0]) != row_shapes(first)
        if begins and (few or len(joined) == 1 < self._steps):
            self._usual = None  # batches of many sizes share the trace of single ones; none is usual so far
            self._held.extendleft(reversed(joined[1:]))
            return first, rows_of(first), 1, True
        return self._join(joined), rows_of(first), len(joined), False

    def _next(self) -> Structure | None:
        if self._held:
            return self._held.popleft()
        if self._failed is not None:
            raise self._failed
        if self._epoch is None:
            return None
        batch = next(self._epoch, None)
        if batch is None:
            self._epoch = None
        return batch

    def _steps_per_window(self, batch: Structure) -> int:
        size = sum(int(tf.size(t)) * max(1, t.dtype.size) for t in leaves(batch))
        return int(max(1, min(MAX_STEPS, self.chunk_bytes // max(1, size))))

    def _join(self, batches: list[Structure]) -> Structure:
        """The rows of several batches one after the other, padded to a full window, so that all have one
        shape."""
        missing = self._steps - len(batches)

        def join(*tensors: tf.Tensor) -> tf.Tensor | None:
            if tensors[0] is None:
                return None
            parts = list(tensors)
            if missing:
                parts.append(
                    tf.zeros([missing * int(tensors[0].shape[0]), *tensors[0].shape[1:]], tensors[0].dtype)
                )
            return tf.concat(parts, 0) if len(parts) > 1 else parts[0]

        return tf.nest.map_structure(join, *batches)


def direct_window(batch: Structure, step: int) -> Window:
    """A batch as it came, as step `step` of an epoch."""
    shape = EpochShape(0, 1)
    return Window(batch, _no_order(), 0, step + 1, shape, step, direct=True, count=rows_of(batch))


@cache
def _no_order() -> tf.Tensor:
    with tf.init_scope():
        return tf.zeros([1, 1], tf.int32)
