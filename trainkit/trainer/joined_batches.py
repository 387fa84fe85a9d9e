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
        self._ended = False  # whether the end has been read
        self._held: deque[Structure] = deque()  # batches that did not fit the window before
        self._failed: Exception | None = None  # of the batch after those of the window before
        self._usual: Any = None  # signature of the first batch
        self._usual_batch: Structure = ()
        self._steps = 1  # usual batches of a window
        self._identity: tf.Tensor | None = None
        self._runs = _Runs()
        self._reader: WindowReader | None = None
        self._read_singly = 0  # batches that were joined one by one
        self._at_once = False  # whether the next window is read by it

    @property
    def holds_more(self) -> bool:
        """Whether something may follow the window before: in the execution, if it goes no further."""
        return self._waits or not (self._ended or (not self.crosses and self.batches.left == 0))

    def begin(self) -> None:
        """Begin with an epoch, or an execution: what was read before is over."""
        self._ended = False
        self._runs.begin()
        self._held.clear()
        self._failed = None
        if self._reader is not None and self._reader.count:
            self._reader.take()

    def window(self, start: int) -> Window | None:
        """The next batches, as rows for step `start` and those that follow; None: there are none."""
        doubtful = self._runs.are_short
        if self._at_once and not (doubtful or self._waits) and (found := self._read_at_once(start)):
            return found
        first = self._next()
        if first is None:
            return None
        begins = self._usual is None
        if not self._is_usual(first):
            self._runs.end()
            return self._as_it_came(first, start)
        batches = self._equal_ones(first, least=FEW if begins or doubtful else 1)
        few = len(batches) < FEW and bool(self._held)
        many_shapes = few and row_shapes(self._held[0]) != row_shapes(first)
        if begins and (many_shapes or len(batches) == 1 < self._steps):
            self._usual = None  # batches of many sizes share the trace of single ones; none is usual so far
        self._runs.is_long = not few
        if self._usual is None or (few and doubtful):
            self._held.extendleft(reversed(batches[1:]))
            self._runs.go_on(1)
            return self._as_it_came(first, start)
        self._runs.go_on(len(batches))
        self._read_singly += len(batches)
        full = len(batches) == self._steps > 1
        self._at_once = self._read_singly > MANY and full and self.batches.is_plain
        return self._as_one(self._joined(*batches), len(batches), start)

    @property
    def _waits(self) -> bool:
        """Whether something was read that belongs to no window yet."""
        return bool(self._held) or self._failed is not None

    def _is_usual(self, batch: Structure) -> bool:
        """Whether a batch is joined with others; the first that may be says what is usual."""
        joins = self.joins and self.alone == 0
        if self.alone:
            self.alone -= 1
        signature = signature_of(batch) if joins else None
        if signature is not None and self._usual is None:
            self._usual, self._usual_batch = signature, batch
            self._steps = self._steps_per_window(batch)
            self._identity = tf.range(self._steps * rows_of(batch))[None]
        return signature is not None and bool(signature == self._usual)

    def _equal_ones(self, first: Structure, least: int) -> list[Structure]:
        """A usual batch and those like it that follow, as many as a window has, or as were read in time: not
        before there are so many, since the clock has no say in whether batches are joined."""
        found, began = [first], time.monotonic()
        while len(found) < self._steps and (len(found) < least or time.monotonic() - began < self.seconds):
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
            found.append(batch)
        return found

    def _read_at_once(self, start: int) -> Window | None:
        """Usual batches by one call of TensorFlow, after a full window; None: another batch is next."""
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
        self._runs.go_on(count)
        return self._as_one(self._joined(rows, count=count), count, start) if count else None

    def _next(self) -> Structure | None:
        if self._held:
            return self._held.popleft()
        if self._failed is not None:
            raise self._failed
        batch = self.batches.next(crosses=self.crosses)
        self._ended = batch is None
        return batch

    def _as_one(self, rows: Structure, steps: int, start: int) -> Window:
        """So many usual batches, whose rows are joined."""
        shape = EpochShape(rows_of(self._usual_batch), self._steps)
        return Window(rows, self._identity, start, start + steps, shape, start)

    def _as_it_came(self, batch: Structure, start: int) -> Window:
        """A batch by itself.

        Raises:
            UserError: if it cannot be divided over replicas.
        """
        if not self.split:
            return direct_window(batch, start)
        came = f"Step {start + 1} of the epoch got a batch of"
        count = rows_of(batch)
        if not count:
            raise UserError(
                f"{came} no rows, which cannot be divided over replicas; leave such batches out, or set "
                "exact=True."
            )
        if not of_one_length(batch):
            counts = [tuple(t.shape[:1]) for t in leaves(batch)]
            raise UserError(
                f"{came} tensors with different numbers of rows, {counts}, which cannot be divided over "
                "replicas; train on one device, or set exact=True."
            )
        return Window(batch, tf.range(count)[None], start, start + 1, EpochShape(count, 1), start)

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


class _Runs:
    """How many usual batches follow each other: where others come again and again, a window would hold few
    steps and much that fills it.

    Attributes:
        is_long: Whether the run under way is worth a window, as far as it was looked at.
    """

    def __init__(self) -> None:
        self.is_long = False
        self._batches: int | None = None  # of the run under way; None: no other batch came before it
        self._short = 0  # runs of fewer than are worth a window, one after the other

    @property
    def are_short(self) -> bool:
        """Whether the runs before were, and the one under way is not known to be long."""
        return self._short >= FEW and not self.is_long

    def begin(self) -> None:
        """Begin anew: a ragged last batch says nothing of the others."""
        self._batches = None
        self.is_long = False

    def go_on(self, count: int) -> None:
        """So many usual batches came."""
        if self._batches is not None:
            self._batches += count

    def end(self) -> None:
        """Another batch came."""
        if self._batches:
            self._short = self._short + 1 if self._batches < FEW else 0
        self._batches = 0
        self.is_long = False


def direct_window(batch: Structure, step: int) -> Window:
    """A batch as it came, as step `step` of an epoch."""
    shape = EpochShape(0, 1)
    return Window(batch, _no_order(), 0, step + 1, shape, step, direct=True, count=rows_of(batch))


@cache
def _no_order() -> tf.Tensor:
    with tf.init_scope():
        return tf.zeros([1, 1], tf.int32)
