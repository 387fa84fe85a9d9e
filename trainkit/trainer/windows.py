"""The rows that one call of the compiled program reads: a whole split, or a chunk that a host thread has
gathered."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.helpers import HelperThreads
from trainkit.core.row_view import read_rows
from trainkit.core.tree import Structure, leaves, map_leaves
from trainkit.engine.inputs import EpochShape, resident
from trainkit.trainer.row_orders import RowOrders
from trainkit.trainer.sources import RowSource

__all__ = ["ChunkFeed", "Feed", "ResidentFeed", "Window"]

CHUNK_BYTES = 32 * 2**20
HELPERS = max(1, (os.cpu_count() or 1) - 1)  # threads that augment; one is left to the training


@dataclass(frozen=True)
class Window:
    """Rows for steps of one epoch.

    Args:
        rows: Tensors that the program reads.
        orders: In which order, `[1, n]` int32 or more.
        base: The step of the epoch whose rows come first in `orders`.
        stop: The step after the last one that these rows serve.
        shape: Sizes that the program is traced for.
        offset: Step of the epoch that the program counts as its step 0.
        direct: Whether the rows are one batch as it came, of any structure and shape: nothing is gathered
            from it.
        count: Rows of such a batch.
    """

    rows: Structure
    orders: tf.Tensor
    base: int
    stop: int
    shape: EpochShape
    offset: int = 0
    direct: bool = False
    count: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether this is a batch of no rows. Keras divides by their number, as a trace that knows it to be 0
        does not."""
        return self.direct and not self.count

    @property
    def step_rows(self) -> int:
        """Rows of a step."""
        return self.count if self.direct else self.shape.step_rows

    def rows_between(self, start: int, stop: int) -> int:
        """Rows that steps `start : stop` of the epoch train."""
        if self.direct:
            return self.count
        size = self.shape.step_rows
        first = start - self.offset
        last = stop - self.offset
        return min(last * size, self.shape.rows) - first * size


class Feed(ABC):
    """Gives the loop the rows of its calls.

    Args:
        shape: Sizes of an epoch.
    """

    def __init__(self, shape: EpochShape) -> None:
        self.shape = shape

    @property
    def steps(self) -> int | None:
        """Steps per epoch; None: only the end of the rows tells."""
        return self.shape.steps

    def has_step(self, epoch: int, step: int) -> bool:
        """Whether the epoch goes on with `step`, as far as that is known before its rows are read."""
        return self.steps is None or step < self.steps

    def hook_steps(self, start: int, size: int) -> tuple[int, int]:
        """The numbers of the first and the last of `size` steps from `start` on, as batch hooks get them."""
        return start, start + size - 1

    def hook_stop(self, start: int, size: int) -> int:
        """The step after the last one between these hooks, once the first window is read."""
        return start + size if self.steps is None else min(start + size, self.steps)

    @abstractmethod
    def window(self, epoch: int, start: int) -> Window | None:
        """Rows for step `start` of an epoch and for some that follow it; None: the epoch has no such step."""

    def cut_off(self) -> None:  # noqa: B027 (rows that have numbers need nothing)
        """The epoch under way ends here."""

    @abstractmethod
    def close(self) -> None:
        """Let go of threads."""


class ResidentFeed(Feed):
    """All rows stay on the device: a window is a whole epoch.

    Args:
        shape: Sizes of an epoch.
        rows: Tensors of all rows.
        orders: The order of each epoch.
    """

    def __init__(self, shape: EpochShape, rows: Structure, orders: RowOrders) -> None:
        super().__init__(shape)
        self.rows = rows
        self.orders = orders

    def window(self, epoch: int, start: int) -> Window:
        return Window(self.rows, self.orders(epoch), 0, self.shape.steps, self.shape)

    def epochs(self, first: int, count: int) -> Window:
        """Rows for several epochs."""
        return Window(self.rows, self.orders(first, count), 0, self.shape.steps, self.shape)

    def close(self) -> None:
        self.orders.close()


class ChunkFeed(Feed):
    """Rows that do not stay on the device: one chunk after the other, each in the order of the epoch.

    A thread gathers the next chunk while the device computes on this one. The rows of arrays may lie in a
    memory-mapped file.

    Args:
        shape: Sizes of an epoch.
        source: The rows.
        strategy: Where the rows go.
        epochs: Epochs of the training: none is gathered beyond.
        chunk_bytes: Size of a chunk, which holds one step at the least; default: 32 MB.
    """

    def __init__(
        self,
        shape: EpochShape,
        source: RowSource,
        strategy: tf.distribute.Strategy,
        epochs: int,
        chunk_bytes: int | None = None,
    ) -> None:
        super().__init__(shape)
        self.source = source
        self.strategy = strategy
        self.epochs = epochs
        self.steps_per_chunk = self._steps_that_fit(chunk_bytes or CHUNK_BYTES)
        self._identity = tf.constant(np.arange(self.steps_per_chunk * shape.step_rows, dtype=np.int32)[None])
        self._thread = HelperThreads(1)
        self._helpers = HelperThreads(HELPERS)
        self._epoch_order: tuple[int, np.ndarray] | None = None
        self._ahead: tuple[tuple[int, int], Future[Structure]] | None = None
        self._current: tuple[tuple[int, int], Structure] | None = None
        self._stream: tuple[tuple[int, int], Iterator[Any]] | None = None

    def window(self, epoch: int, start: int) -> Window:
        key = (epoch, start // self.steps_per_chunk)
        if self._current is None or self._current[0] != key:
            self._current = (key, self._fetch(key))
            self._prepare(self._after(key))
        base = key[1] * self.steps_per_chunk
        stop = min(base + self.steps_per_chunk, self.shape.steps)
        return Window(self._current[1], self._identity, base, stop, self.shape)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._helpers.shutdown(wait=False, cancel_futures=True)

    def _steps_that_fit(self, chunk_bytes: int) -> int:
        row_bytes = sum(int(np.prod(s.shape)) * s.dtype.size for s in leaves(self.source.spec))
        fits = chunk_bytes // max(1, row_bytes * self.shape.step_rows)
        return int(max(1, min(self.shape.steps, fits)))

    def _fetch(self, key: tuple[int, int]) -> Structure:
        if self._ahead is not None:
            ahead, future = self._ahead
            self._ahead = None
            chunk = (
                future.result()
            )  # also one that nobody wants any more: a dataset is read by one thread at a time
            if ahead == key:
                return chunk
        return self._gather(key)

    def _prepare(self, key: tuple[int, int]) -> None:
        if key[0] < self.epochs:
            self._ahead = (key, self._thread.submit(self._gather, key))

    def _after(self, key: tuple[int, int]) -> tuple[int, int]:
        epoch, number = key
        last = (number + 1) * self.steps_per_chunk >= self.shape.steps
        return (epoch + 1, 0) if last else (epoch, number + 1)

    def _gather(self, key: tuple[int, int]) -> Structure:
        """The rows of a chunk in the order of the epoch; a chunk that is not full is padded, so that all have
        one shape."""
        number = key[1]
        size = self.shape.step_rows
        first = number * self.steps_per_chunk * size
        stop = min(first + self.steps_per_chunk * size, self.shape.rows)
        buffer = map_leaves(
            lambda s: np.empty([self.steps_per_chunk * size, *s.shape], s.dtype.as_numpy_dtype),
            self.source.spec,
        )
        places = leaves(buffer)
        if self.source.arrays is None:
            self._read_batches(key, places, stop - first)
        else:
            self._read_rows(key[0], self._order(key[0])[first:stop], places)
        for place in places:
            place[stop - first :] = place[:1]
        return resident(buffer, self.strategy)

    def _order(self, epoch: int) -> np.ndarray:
        if self._epoch_order is None or self._epoch_order[0] != epoch:
            self._epoch_order = (epoch, self.source.order(epoch))
        return self._epoch_order[1]

    def _read_rows(self, epoch: int, rows: np.ndarray, places: list[np.ndarray]) -> None:
        """Rows of an epoch by their numbers; those that are augmented step by step, in several threads."""
        source = self.source
        if source.arrays is None:
            raise ValueError("Only rows of arrays have numbers.")
        if source.augmented is None:
            for place, array in zip(places, leaves(source.arrays.batch()), strict=True):
                read_rows(array, rows, place[: len(rows)])
            return

        def augment(begin: int) -> None:
            part = slice(begin, begin + self.shape.step_rows)
            batch = source.picked(epoch, rows[part])
            for place, values in zip(places, leaves(batch), strict=True):
                place[begin : begin + len(values)] = values

        list(self._helpers.map(augment, range(0, len(rows), self.shape.step_rows)))

    def _read_batches(self, key: tuple[int, int], places: list[np.ndarray], rows: int) -> None:
        """The next rows of a dataset."""
        batches = self._batches(key)
        filled = 0
        while filled < rows:
            batch = next(batches)
            count = len(leaves(batch)[0])
            for place, values in zip(places, leaves(batch), strict=True):
                place[filled : filled + count] = values
            filled += count
        self._stream = (self._after(key), batches)

    def _batches(self, key: tuple[int, int]) -> Iterator[Any]:
        """The batches from a chunk on; those of the epoch that is being read go on where they are."""
        if self._stream is not None and self._stream[0] == key and key[1] > 0:
            return self._stream[1]
        epoch, number = key
        return self.source.batches(epoch, self.shape.step_rows, number * self.steps_per_chunk)
