"""Feeds: how rows get from a split into the graph. Each yields the same batches, in the order that it is given.

In the loop, outside of the replicas, `fetch(rows, size)` gives what `strategy.run` passes on; inside a replica
`part(fetched, begin, size)` is that replica's rows of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.tree import leaves, map_leaves


class Feed(ABC):
    """Batches of one split.

    Attributes:
        rows: Rows of the split.
        spec: Structure of `(x, y[, weight])` with one example row each, as `tf.TensorSpec` without the row axis.
    """

    rows: int
    spec: Any

    @abstractmethod
    def arguments(self) -> Any:
        """Tensors or distributed values that the compiled program takes as its first argument."""

    @abstractmethod
    def fetch(self, arguments: Any, rows: tf.Tensor, size: int) -> Any:
        """What the replicas need for the batch of these rows `[size]`."""

    @abstractmethod
    def part(self, fetched: Any, begin: Any, size: int) -> Any:
        """The rows `begin : begin + size` of a fetched batch, inside a replica."""


class Resident(Feed):
    """All rows as tensors on every device that computes; a batch is a gather inside the graph. No Python and no copy per step.

    Arrays keep their dtype: uint8 images take a quarter of the memory, and the model casts them.
    """

    def __init__(self, arrays: Arrays, strategy: tf.distribute.Strategy) -> None:
        self.rows = len(arrays)
        batch = arrays.batch()
        self.spec = map_leaves(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), batch)
        if strategy.num_replicas_in_sync == 1:
            self._tensors = map_leaves(tf.constant, batch)
        else:
            # One copy a device, made there: a captured tensor would be copied to the other devices at every step.
            self._tensors = map_leaves(
                lambda a: strategy.experimental_distribute_values_from_function(lambda _: tf.constant(a)),
                batch,
            )

    def arguments(self) -> Any:
        return self._tensors

    def fetch(self, arguments: Any, rows: tf.Tensor, size: int) -> Any:
        return arguments, rows

    def part(self, fetched: Any, begin: Any, size: int) -> Any:
        tensors, rows = fetched
        picked = tf.slice(rows, [begin], [size])
        return tf.nest.map_structure(lambda t: tf.gather(t, picked), tensors)


class Stream(Feed):
    """Batches from `tf.data`, prefetched: for rows that do not fit the device, and for a user's own dataset.

    Arrays are read in the order that `orders` gives, so that entering an epoch in its middle costs nothing; a dataset of single
    rows is batched in its own order, which must be the same each time, and skips to its place.

    Args:
        source: Arrays, or a `tf.data.Dataset` of rows `(x, y[, weight])` of known size.
        size: Rows a batch.
    """

    def __init__(self, source: Arrays | tf.data.Dataset, size: int) -> None:
        self.size = size
        self._source = source
        if isinstance(source, Arrays):
            self.rows = len(source)
            self.spec = map_leaves(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), source.batch())
        else:
            self.rows = int(source.cardinality())
            if self.rows < 0:
                raise UserError(
                    "A tf.data.Dataset needs a known, finite size; add .apply(tf.data.experimental.assert_cardinality(rows)) or .take(rows)."
                )
            self.spec = source.element_spec
            if not isinstance(self.spec, tuple):
                raise UserError(
                    f"A tf.data.Dataset must yield rows (x, y) or (x, y, weight); got {self.spec}."
                )
        self._iterator: Any = None

    def seek(self, epochs: Any, start: int) -> None:
        """Open the pipeline at batch `start` of the first of `epochs`, an iterable of row orders `[rows]`."""
        self._iterator = iter(self.dataset(epochs, start))

    def dataset(self, epochs: Any, start: int) -> tf.data.Dataset:
        """All batches of `epochs`, from batch `start` of the first on."""
        if isinstance(self._source, Arrays):
            dataset = tf.data.Dataset.from_generator(
                lambda: self._batches(epochs, start), output_signature=tf.TensorSpec([None], tf.int32)
            )
            arrays = self._source.batch()

            def gather(rows: tf.Tensor) -> Any:
                # NumPy gathers from host memory without copying the arrays into the graph, so memory-mapped files work.
                flat = list(leaves(arrays))
                picked = tf.numpy_function(
                    lambda r: [np.ascontiguousarray(a[r]) for a in flat], [rows], [a.dtype for a in flat]
                )
                for tensor, array in zip(picked, flat, strict=True):
                    tensor.set_shape([None, *array.shape[1:]])
                return tf.nest.pack_sequence_as(map_leaves(lambda a: 0, arrays), picked)

            dataset = dataset.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        else:
            dataset = self._source.batch(self.size).repeat().skip(start)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _batches(self, epochs: Any, start: int) -> Any:
        for order in epochs:
            for begin in range(start * self.size, len(order), self.size):
                yield order[begin : begin + self.size]
            start = 0

    def arguments(self) -> Any:
        return self._iterator

    def fetch(self, arguments: Any, rows: tf.Tensor, size: int) -> Any:
        return tf.nest.map_structure(
            lambda t, s: tf.ensure_shape(t, [size, *s.shape]), arguments.get_next(), self.spec
        )

    def part(self, fetched: Any, begin: Any, size: int) -> Any:
        return tf.nest.map_structure(
            lambda t: tf.slice(t, [begin] + [0] * (t.shape.rank - 1), [size, *t.shape[1:]]), fetched
        )
