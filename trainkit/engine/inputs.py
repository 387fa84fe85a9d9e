"""Rows as the graph sees them: tensors that stay on the device, and the order in which a call reads them.

The program never sees an iterator. A call gets the rows of a whole split, or of a chunk of it, and gathers
its batches from them; so a ragged end, a seek, measuring and XLA are the same for every source of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.datasets import Arrays
from trainkit.core.row_view import RowView
from trainkit.core.tree import Structure, leaves, map_leaves

__all__ = [
    "EpochShape",
    "batch_spec",
    "gather",
    "gather_apart",
    "has_unknown_sizes",
    "hidden_count",
    "keras_batch",
    "of_any_rows",
    "resident",
    "row_spec",
    "shown_batch",
]


@dataclass(frozen=True)
class EpochShape:
    """Sizes that are fixed when a program is traced.

    Args:
        step_rows: Rows per optimizer step.
        full_steps: Steps per epoch that have all their rows.
        rest: Rows of the ragged step that ends the epoch; 0: there is none.
        max_epochs: Epochs per call, at most.
    """

    step_rows: int
    full_steps: int
    rest: int = 0
    max_epochs: int = 1

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.full_steps + (1 if self.rest else 0)

    @property
    def rows(self) -> int:
        """Rows that an epoch trains."""
        return self.full_steps * self.step_rows + self.rest

    @classmethod
    def of(cls, rows: int, step_rows: int, steps: int | None = None, max_epochs: int = 1) -> EpochShape:
        """The shape of an epoch of `rows` rows in steps of `step_rows`, cut to `steps` steps if asked."""
        full, rest = divmod(rows, step_rows)
        if steps is not None and steps <= full:
            return cls(step_rows, steps, 0, max_epochs)
        return cls(step_rows, full, rest, max_epochs)


def row_spec(arrays: Arrays) -> Any:
    """The structure `(x[, y[, weight]])` of one row, as `tf.TensorSpec` without the row axis."""
    return map_leaves(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), arrays.batch())


def batch_spec(spec: Any, rows: int | None) -> Any:
    """The structure of `tf.TypeSpec` of a batch of so many rows, of those of its rows; ragged and sparse
    batches are known by their own.

    Args:
        spec: As of `row_spec`.
        rows: How many; None: any number.
    """
    first = tf.TensorShape([rows])
    return map_leaves(
        lambda s: tf.TensorSpec(first + s.shape, s.dtype) if isinstance(s, tf.TensorSpec) else s, spec
    )


def has_unknown_sizes(spec: Any) -> bool:
    """Whether rows of such a structure of `tf.TensorSpec` may differ in their shapes."""
    return not all(one.shape.is_fully_defined() for one in leaves(spec))


def resident(batch: Structure, strategy: tf.distribute.Strategy) -> Structure:
    """Arrays as tensors on every device that computes. They keep their dtype: uint8 images take a quarter of
    the memory."""
    made: dict[int, Any] = {}

    def once(array: Any) -> Any:
        # What an autoencoder is given twice stays there once.
        if id(array) not in made:
            made[id(array)] = copies(array)
        return made[id(array)]

    def copies(array: Any) -> Any:
        if strategy.num_replicas_in_sync == 1:
            return tf.constant(_in_memory(array))
        # One copy per device, made there: a captured tensor would be copied to the other devices at every
        # step.
        return strategy.experimental_distribute_values_from_function(lambda _: tf.constant(_in_memory(array)))

    return map_leaves(once, batch)


def _in_memory(array: Any) -> Any:
    return np.asarray(array) if isinstance(array, RowView) else array


def gather(tensors: Structure, rows: tf.Tensor) -> Structure:
    """The given rows `[n]` of all tensors."""
    return tf.nest.map_structure(lambda t: None if t is None else tf.gather(t, rows), tensors)


def gather_apart(tensors: Structure, rows: tf.Tensor, zero: tf.Tensor) -> Structure:
    """The given rows `[n]` of all tensors, where the graph does not know that all are equally many, as in
    `model.fit`: TensorFlow reorders products of tensors that it knows to be of one size, and so rounds them
    otherwise.

    Args:
        tensors: All rows.
        rows: Which of them.
        zero: A number 0 that only the run knows.
    """
    if tf.get_static_value(zero) is not None:  # XLA knows all sizes
        return gather(tensors, rows)
    flat = [
        # The first of n needs no size of its own: n - 1 unknown ones tell all apart.
        None if one is None else tf.gather(one, tf.slice(rows, [zero * number], [-1]) if number else rows)
        for number, one in enumerate(tf.nest.flatten(tensors))
    ]
    return tf.nest.pack_sequence_as(tensors, flat)


def keras_batch(batch: Structure) -> Structure:
    """A batch as Keras hands it to `train_step`: lone inputs come without a tuple around them."""
    alone = isinstance(batch, tuple) and len(batch) == 1 and not isinstance(batch[0], (tuple, list))
    return batch[0] if alone else batch


def shown_batch(spec: Any, rows: int, size: int) -> Any:
    """The structure of `tf.TypeSpec` of batches of arrays as Keras shows them to a trace: it says how many
    rows they have where no batch is ragged.

    Args:
        spec: As of `row_spec`.
        rows: Rows in all.
        size: Rows per batch.
    """
    return keras_batch(batch_spec(spec, None if rows % size else size))


def hidden_count(step: tf.Tensor, size: int, rows: int, zero: tf.Tensor) -> tf.Tensor:
    """Rows of a step, the ragged last one included, of which the graph knows nothing before it runs.

    Args:
        step: Number of the step.
        size: Rows of a full step.
        rows: Rows in all.
        zero: A number 0 that only the run knows.
    """
    return tf.minimum(size, rows - step * size) + zero


def of_any_rows(step: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A step that is traced once, for an unknown number of rows; XLA learns it from the caller.

    Args:
        step: Takes the row numbers `[n]` of a batch.
    """
    unknown = [tf.TensorSpec([None], tf.int32)]
    traced: Callable[[tf.Tensor], tf.Tensor] = tf.function(step, autograph=False, input_signature=unknown)
    return traced
