"""The batches of an epoch as Keras walks through them, for rows that only Keras's own iterators read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from trainkit.backend.compat import pipelines
from trainkit.core.tree import Structure
from trainkit.trainer.window_reader import WindowReader

__all__ = ["KerasBatches"]


class KerasBatches:
    """Walks through epochs as `model.fit` does, one execution of `steps_per_execution` steps at a time.

    How many steps an epoch has, where the next one begins and who is told of its end is all decided by
    Keras's iterator, so that rows that end unannounced, go on for ever, or are fewer than asked train as
    there.

    Args:
        iterator: Keras's iterator, as `compat.epoch_iterator` makes it.
    """

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator
        self._walk: Iterator[Any] = iter(())
        self.current: Any = None  # the iterator of the execution under way
        self._executions = 0  # of this epoch
        self.left = 0  # batches of the execution under way that are still to be read
        self._over = False  # whether the rows have ended, which Keras is still to learn

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps per epoch, as far as they are known by now."""
        return None if self.iterator.num_batches is None else int(self.iterator.num_batches)

    @property
    def is_plain(self) -> bool:
        """Whether a `WindowReader` reads the execution under way: not of a strategy, whose batches fit no
        queue, and not without a clock."""
        return isinstance(self.current, tf.data.Iterator) and pipelines.knows_the_time()

    def begin_epoch(self) -> None:
        """Start with the first step of an epoch."""
        self.current = None
        self._executions = self.left = 0
        self._over = False
        self._walk = iter(self.iterator)

    def advance(self) -> tuple[int, int] | None:
        """Numbers of the first and the last step of the next execution; None: the epoch is over.

        The end is for the thread that trains, once all steps are trained: Keras tells the rows of it.
        """
        self.current = None  # who walks lets an iterator go that has ended, while we go on
        if self._over:
            self._over = False
            self.cut_off()
            self._walk = iter(())
        following = next(self._walk, None)
        if following is None:
            return None
        first, last, self.current = following
        self._executions += 1
        self.left = self.iterator.steps_per_execution
        return first, last

    def cut_off(self) -> None:
        """End the epoch before its rows do: Keras takes it for their end."""
        with self.iterator.catch_stop_iteration():  # learns from the end how many batches there are
            raise StopIteration

    def next(self, *, crosses: bool) -> Structure | None:
        """The next batch; None: the rows, or the execution under way, are over.

        Args:
            crosses: Whether to go on with the next execution of the epoch.
        """
        while self._goes_on(crosses):
            batch = next(self.current, None)
            if batch is not None:
                self.left -= 1
                return tf.nest.map_structure(_without_optional, batch)
            self._end()
        return None

    def fill(self, reader: WindowReader, most: int, *, crosses: bool) -> None:
        """Let a reader read the next batches, up to `most`; none: the rows, or the execution, are over.

        Raises:
            Exception: of a batch that cannot be read; the reader has those before it.
        """
        while not reader.count and self._goes_on(crosses):
            more = self.iterator.executions_left(self._executions) if crosses else 0
            if more is not None:
                most = min(most, self.left + more * self.iterator.steps_per_execution)
            ended = False
            try:
                ended = reader.fill(self.current, most)
            finally:
                count: int = reader.count
                while count > self.left:
                    count -= self.left
                    self.advance()
                self.left -= count
            if ended:
                self._end()

    def _goes_on(self, crosses: bool) -> bool:
        """Whether there is more to read; the last execution of an epoch is not gone beyond."""
        if self.left > 0 or not crosses or self._over:
            return self.left > 0
        if self._executions and self.iterator.executions_left(self._executions) == 0:
            return False
        return self.advance() is not None

    def _end(self) -> None:
        """The rows have ended. Keras learns it from an execution that gets no batch."""
        self._over = self.left == self.iterator.steps_per_execution
        self.left = 0


def _without_optional(value: Any) -> Any:
    """None for an input that is left out, which Keras's adapters pass on as an empty optional."""
    return None if isinstance(value, tf.experimental.Optional) else value
