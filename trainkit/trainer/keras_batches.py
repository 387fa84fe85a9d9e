"""The batches of an epoch as Keras walks through them, for rows that only Keras's own iterators read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from trainkit.core.tree import Structure

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

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps per epoch, as far as they are known by now."""
        return None if self.iterator.num_batches is None else int(self.iterator.num_batches)

    def begin_epoch(self) -> None:
        """Start with the first step of an epoch."""
        self.current = None
        self._walk = iter(self.iterator)

    def advance(self) -> tuple[int, int] | None:
        """Numbers of the first and the last step of the next execution; None: the epoch is over."""
        self.current = None  # who walks lets an iterator go that has ended, while we go on
        following = next(self._walk, None)
        if following is None:
            return None
        first, last, self.current = following
        return first, last

    def read(self) -> list[Structure]:
        """The batches of the execution; fewer at the end of the rows, and none if they have ended."""
        found: list[Structure] = []
        with self.iterator.catch_stop_iteration():  # learns from the end how many batches there are
            found.append(next(self.current))
            while len(found) < self.iterator.steps_per_execution:
                batch = next(self.current, None)
                if batch is None:
                    break
                found.append(batch)
        return [tf.nest.map_structure(_without_optional, batch) for batch in found]

    def cut_off(self) -> None:
        """End the epoch before its rows do: Keras takes it for their end."""
        with self.iterator.catch_stop_iteration():
            raise StopIteration

    def epoch(self) -> Iterator[Structure]:
        """All batches of an epoch."""
        self.begin_epoch()
        while self.advance() is not None:
            batches = self.read()
            if not batches:
                return
            yield from batches


def _without_optional(value: Any) -> Any:
    """None for an input that is left out, which Keras's adapters pass on as an empty optional."""
    return None if isinstance(value, tf.experimental.Optional) else value
