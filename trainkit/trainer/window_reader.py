"""Batches of one shape, read from an iterator within one call of TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainkit.backend import compat
from trainkit.core.tree import Structure

__all__ = ["WindowReader"]

USUAL, OTHER, ENDED = 0, 1, 2  # what the last call for a batch brought


class WindowReader:
    """Reads several batches per call, and keeps those that came before one that cannot be read.

    Read one by one in Python, a batch costs the host as much as the step of a small network. What is read
    waits in a queue, which outlives a call that fails.

    Args:
        batch: One of the usual batches: dense tensors, with rows.
        most: Batches per call, at most.
        seconds: After which a call reads no more, so that somebody may stop it.
    """

    def __init__(self, batch: Structure, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._like = batch
        flat = tf.nest.flatten(batch)
        self._size = len(flat)
        self._places = [place for place, tensor in enumerate(flat) if tensor is not None]
        tensors = [flat[place] for place in self._places]
        self._shapes = [tuple(t.shape) for t in tensors]
        types = [t.dtype for t in tensors]
        with tf.device("CPU"), tf.init_scope():
            self._usual = tf.queue.FIFOQueue(most, types, [t.shape for t in tensors])
            self._other = tf.queue.FIFOQueue(1, types)
        self._usual_count = self._other_count = 0  # batches in them
        self._rows: list[tf.Tensor] | None = None  # of the usual ones, if they have left the queue
        self._run = compat.without_tracing_warning(tf.function(self._read, autograph=False))

    @property
    def count(self) -> int:
        """Batches that were read and are still to be taken."""
        return self._usual_count + self._other_count

    def fill(self, iterator: Any, most: int) -> bool:
        """Read up to `most` batches, and none after one of another shape; whether the iterator has ended.

        Raises:
            Exception: of a batch that cannot be read.
        """
        self._rows = None
        try:
            with tf.device("CPU"):
                found, *self._rows = self._run(iterator, tf.constant(most))
        except BaseException:
            self._usual_count, self._other_count = int(self._usual.size()), int(self._other.size())
            raise
        self._usual_count, self._other_count, ended = found.numpy().tolist()
        return bool(ended)

    def take(self) -> tuple[Structure, int, Structure | None]:
        """What was read: the rows of the usual batches, one after the other; how many batches these are; and
        the one of another shape."""
        count, rows, found, other = self._usual_count, self._rows, (), None
        if count:
            found = self._packed(self._joined(count) if rows is None else rows)
        if self._other_count:
            other = self._packed(self._other.dequeue())
        self._usual_count = self._other_count = 0
        self._rows = None
        return found, count, other

    def _joined(self, count: Any) -> list[tf.Tensor]:
        """So many batches of the queue, their rows one after the other."""
        tensors = self._usual.dequeue_many(count)
        tensors = tensors if isinstance(tensors, list) else [tensors]
        return [tf.reshape(t, [-1, *s[1:]]) for t, s in zip(tensors, self._shapes, strict=True)]

    def _packed(self, tensors: Any) -> Structure:
        flat = tensors if isinstance(tensors, list) else [tensors]
        filled = [None] * self._size
        for place, tensor in zip(self._places, flat, strict=True):
            filled[place] = tensor
        return tf.nest.pack_sequence_as(self._like, filled)

    def _read(self, iterator: Any, most: tf.Tensor) -> list[tf.Tensor]:
        def kept(tensors: list[tf.Tensor]) -> tf.Tensor:
            def usual() -> tf.Tensor:
                self._usual.enqueue(tensors)  # no ensure_shape: Grappler takes it to hold for `alike`
                return tf.constant(USUAL)

            def other() -> tf.Tensor:
                self._other.enqueue(tensors)
                return tf.constant(OTHER)

            pairs = zip(tensors, self._shapes, strict=True)
            alike = [check for tensor, shape in pairs for check in _checks(tensor, shape)]
            return tf.cond(tf.reduce_all(tf.stack(alike)), usual, other) if alike else usual()

        def body(count: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = iterator.get_next_as_optional()

            def given() -> tf.Tensor:
                flat = tf.nest.flatten(batch.get_value())
                return kept([flat[place] for place in self._places])

            return count + 1, tf.cond(batch.has_value(), given, lambda: tf.constant(ENDED))

        def going(count: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
            return (found == USUAL) & (count < most) & (tf.timestamp() < end)

        end = tf.timestamp() + self._seconds
        # Few operations: each costs about as much as reading one of its rows.
        count, found = tf.while_loop(going, body, (tf.constant(0), tf.constant(USUAL)), parallel_iterations=1)
        other, ended = tf.cast(found == OTHER, tf.int32), tf.cast(found == ENDED, tf.int32)
        usual = count - other - ended
        return [tf.stack([usual, other, ended]), *self._joined(usual)]


def _checks(tensor: tf.Tensor, shape: tuple[int, ...]) -> list[tf.Tensor]:
    """Whether a tensor has this shape: what is still to be seen of it."""
    if tensor.shape.rank is None:
        wanted = [*shape, -1]  # which ends it, so that another rank is another shape
        found = tf.concat([tf.shape(tensor), [-1] * len(wanted)], 0)[: len(wanted)]
        return [tf.reduce_all(tf.equal(found, wanted))]
    if not tensor.shape.is_compatible_with(shape):  # seen where functions run eagerly
        return [tf.constant(False)]
    sizes = tf.shape(tensor)
    open_places = [place for place, size in enumerate(tensor.shape) if size is None]
    return [tf.equal(sizes[place], shape[place]) for place in open_places]
