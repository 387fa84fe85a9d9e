"""The training rows as `model.fit` reads them: a `tf.data` pipeline of the same batches in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.tree import leaves, pack_leaves
from trainkit.trainer.sources import RowSource

__all__ = ["TEXT", "batches_for_keras"]

TEXT = "OSU"  # NumPy's kinds of arrays that hold texts


@dataclass(frozen=True)
class _Orders:
    """The row orders of the epochs, from the first on each time they are asked for: `fit` opens its data more
    than once."""

    source: RowSource
    used: int
    epochs: Callable[[], Iterable[int]]

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return ((epoch, self.source.order(epoch)[: self.used]) for epoch in self.epochs())


def batches_for_keras(
    source: RowSource, step_rows: int, used: int, epochs: Callable[[], Iterable[int]]
) -> tf.data.Dataset:
    """Batches of all `epochs`, one after the other.

    Args:
        source: The rows.
        step_rows: Rows per batch.
        used: Rows per epoch.
        epochs: Gives the numbers of the epochs; asked when the rows are read.
    """
    if source.dataset is not None:
        first, later = (source.opened(epoch).batch(step_rows) for epoch in (next(iter(epochs()), 0), 1))
        # Python code behind it learns of its end; a repeated shuffle draws one more order there.
        if used < source.rows or source.shuffled:
            first, later = (batches.take(-(-used // step_rows)) for batches in (first, later))
        one = tf.data.Dataset.from_tensors(0)  # it opens a dataset when that is read, and not before
        others = one.repeat().flat_map(lambda _: later)
        return one.flat_map(lambda _: first).concatenate(others).prefetch(tf.data.AUTOTUNE)
    if source.arrays is None:
        raise ValueError("A source of rows has arrays or a dataset.")
    structure = source.arrays.batch()
    flat = leaves(structure)
    types = [tf.string if a.dtype.kind in TEXT else a.dtype for a in flat]
    orders = _Orders(source, used, epochs)

    def gather(epoch: tf.Tensor, rows: tf.Tensor) -> Any:
        def picked(number: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
            return [_for_tensorflow(a) for a in leaves(source.picked(int(number), numbers))]

        tensors = tf.numpy_function(picked, [epoch, rows], types)
        for tensor, array in zip(tensors, flat, strict=True):
            tensor.set_shape([None, *array.shape[1:]])
        return pack_leaves(structure, tensors)

    signature = (tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int32))
    numbers = tf.data.Dataset.from_generator(lambda: _cut(orders, step_rows), output_signature=signature)
    batches = numbers.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def _cut(orders: Iterable[tuple[int, np.ndarray]], step_rows: int) -> Iterator[tuple[int, np.ndarray]]:
    for epoch, rows in orders:
        for begin in range(0, len(rows), step_rows):
            yield epoch, rows[begin : begin + step_rows]


def _for_tensorflow(array: np.ndarray) -> np.ndarray:
    """The same values, texts as objects of bytes."""
    texts = array.dtype.kind in TEXT
    return np.asarray(tf.constant(array).numpy(), object) if texts else np.ascontiguousarray(array)
