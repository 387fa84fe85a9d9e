"""Windows of batches: equal ones that follow each other, joined, or one as it came."""

from __future__ import annotations

import time
from collections import deque
from functools import cache
from typing import Any

import tensorflow as tf

from trainkit.backend.devices import has_gpu
from trainkit.core.errors import UserError
from trainkit.core.tree import Structure, leaves
from trainkit.engine.inputs import EpochShape
from trainkit.trainer.batch_forms import of_one_length, row_shapes, rows_of, signature_of
from trainkit.trainer.keras_batches import KerasBatches
from trainkit.trainer.window_reader import WindowReader
from trainkit.trainer.windows import CHUNK_BYTES, Window

__all__ = ["JoinedBatches", "direct_window"]

MAX_STEPS = 64  # batches that are read ahead, at the most
FEW = 8  # equal batches, one after the other, that are worth a trace of joined ones
READ_SECONDS = 0.25  # after which what was read is trained
PART_SECONDS = 0.05  # the same within an execution, whose next part is read meanwhile
PART_BYTES = 8 * 2**20  # of an execution; two parts are in memory
MANY = 1000  # batches after which a trace of what reads them is worth its time


class JoinedBatches:
    """Reads batches in windows of equal ones.

    A batch that differs from the first one (a ragged last one), or that cannot be joined with others (ragged
    or sparse tensors, no rows), is a window by itself.

    Args:
        batches: The rows.
        split: Whether a batch is trained in several parts, on replicas: then it is gathered from a window.
        joins: Whether batches may be joined; else each is a window by itself.
        alone: The first batches that are windows by themselves in any case; None: all.
        most: Batches of a window, at most; default: 64.
        crosses: Whether it goes on from one execution of `steps_per_execution` steps to the next.
        chunk_bytes: Size of a window; it holds one batch at the least. Default: 32 MiB, and 8 MiB of an
            execution.

    Attributes:
        goes_on: Whether the end has not been read yet.
    """

    def __init__(
        self,
        batches: KerasBatches,
        *,
        split: bool = False,
        joins: bool = True,
        alone: int | None = 0,
        most: int | None = None,
        crosses: bool = True,
        chunk_bytes: int | None = None,
    ) -> None:
        self.batches = batches
        self.split = split
        self.joins = joins
        self.alone = alone
        self.most = most or MAX_STEPS
        self.crosses = crosses
        self.chunk_bytes = chunk_bytes or (CHUNK_BYTES if crosses else PART_BYTES)
        self.seconds = READ_SECONDS if crosses else PART_SECONDS
        self.goes_on = True
        self._held: deque[Structure] = deque()  # batches that did not fit the window before
        self._failed: Exception | None = None  # of the batch after those of the window before
        self._usual: Any = None  # signature of the first batch
        self._usual_batch: Structure = ()
        self._steps = 1
        self._identity: tf.Tensor | None = None
        self._reader: WindowReader | None = None
        self._read_singly = 0  # batches that were joined one by one
        self._at_once = False  # whether the next window is read by it
        self._run: int | None = None  # usual batches since another one; None: there was none
        self._short_runs = 0  # of fewer batches than are worth a window, one after the other
        self._run_is_long = False  # of the run under way, where the runs before it were short

    @property
    def holds_more(self) -> bool:
        """Whether something may follow the window before: in the execution, if it goes no further."""
        waits = bool(self._held) or self._failed is not None
        return waits or (self.goes_on and (self.crosses or self.batches.left > 0))

    def begin(self) -> None:
        """Begin with an epoch, or an execution: what was read before is over."""
        self.goes_on = True
        self._run = None  # a ragged last batch says nothing of the others
        self._run_is_long = False
        self._held.clear()
        self._failed = None
        if self._reader is not None and self._reader.count:
            self._reader.take()

    def window(self, start: int) -> Window | None:
        """The next batches, as rows for step `start` and those that follow; None: there are none."""
        found = self._read()
        return None if found is None else self._window(start, *found)

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
        """Rows, rows per step, steps and whether they are one batch as it came; None: there are none."""
        doubtful = self._short_runs >= FEW and not self._run_is_long
        ready = self._at_once and not doubtful and not self._held and self._failed is None
        if ready and (found := self._read_at_once()):
            return found
        first = self._next()
        if first is None:
            return None
        joins = self.joins and self.alone == 0
        if self.alone:
            self.alone -= 1
        signature = signature_of(first) if joins else None
        begins = self._usual is None
        if begins and signature is not None:
            self._usual, self._usual_batch = signature, first
            self._steps = self._steps_per_window(first)
            numbers = tf.range(self._steps * rows_of(first))
            self._identity = numbers[None]
        if signature is None or signature != self._usual:
            self._end_run()
            return first, rows_of(first), 1, True
        joined, began = [first], time.monotonic()
        least = FEW if begins or doubtful else 1  # the clock has no say in whether batches are joined
        while len(joined) < self._steps and (len(joined) < least or time.monotonic() - began < self.seconds):
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
        few = len(joined) < FEW and bool(self._held)
        many_shapes = few and row_shapes(self._held[0]) != row_shapes(first)
        if begins and (many_shapes or len(joined) == 1 < self._steps):
            self._usual = None  # batches of many sizes share the trace of single ones; none is usual so far
        self._run_is_long = not few
        if self._usual is None or (few and doubtful):
            self._held.extendleft(reversed(joined[1:]))
            self._go_on_with_run(1)
            return first, rows_of(first), 1, True
        self._go_on_with_run(len(joined))
        self._read_singly += len(joined)
        self._at_once = self._read_singly > MANY and len(joined) == self._steps > 1 and self.batches.is_plain
        return self._joined(*joined), rows_of(first), len(joined), False

    def _read_at_once(self) -> tuple[Any, ...] | None:
        """The same by one call of TensorFlow, after a window that was full; None: no usual batch is next."""
        if self._reader is None:
            self._reader = WindowReader(self._usual_batch, self._steps, self.seconds)
        try:
            self.batches.fill(self._reader, self._steps, crosses=self.crosses)
        except Exception as error:  # what came before it trains first, as in Keras
            self._failed = error
        rows, count, other = self._reader.take()
        if other is not None:
            self._held.append(other)
            self._at_once = count >= FEW or row_shapes(other) == row_shapes(self._usual_batch)
        self._go_on_with_run(count)
        return (self._joined(rows, count=count), rows_of(self._usual_batch), count, False) if count else None

    def _go_on_with_run(self, count: int) -> None:
        """Note usual batches."""
        if self._run is not None:
            self._run += count

    def _end_run(self) -> None:
        """Note a batch of another size: where such ones come again and again, a window would hold few steps
        and much that fills it."""
        if self._run:
            self._short_runs = self._short_runs + 1 if self._run < FEW else 0
        self._run = 0
        self._run_is_long = False

    def _next(self) -> Structure | None:
        if self._held:
            return self._held.popleft()
        if self._failed is not None:
            raise self._failed
        batch = self.batches.next(crosses=self.crosses)
        self.goes_on = batch is not None
        return batch

    def _steps_per_window(self, batch: Structure) -> int:
        size = sum(int(tf.size(t)) * max(1, t.dtype.size) for t in leaves(batch))
        return int(max(1, min(self.most, self.chunk_bytes // max(1, size))))

    def _joined(self, *parts: Structure, count: int | None = None) -> Structure:
        """The rows of `count` batches, default one a part, padded to a full window, so that all have one
        shape."""
        missing = self._steps - (len(parts) if count is None else count)
        if len(parts) == 1 and not missing and not has_gpu():  # which would copy it at each step
            return parts[0]

        def join(usual: tf.Tensor | None, *tensors: tf.Tensor) -> tf.Tensor | None:
            if usual is None:
                return None
            filled = list(tensors)
            if missing:
                filled.append(tf.zeros([missing * int(usual.shape[0]), *usual.shape[1:]], usual.dtype))
            return tf.concat(filled, 0) if len(filled) > 1 else tf.identity(filled[0])

        return tf.nest.map_structure(join, self._usual_batch, *parts)


def direct_window(batch: Structure, step: int) -> Window:
    """A batch as it came, as step `step` of an epoch."""
    shape = EpochShape(0, 1)
    return Window(batch, _no_order(), 0, step + 1, shape, step, direct=True, count=rows_of(batch))


@cache
def _no_order() -> tf.Tensor:
    with tf.init_scope():
        return tf.zeros([1, 1], tf.int32)
