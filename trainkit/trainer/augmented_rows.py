"""What `Task.augmented` gives: rows like those of the training, or one line that says in what they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.datasets import PARTS, Arrays
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.core.tree import Structure, map_leaves, named_leaves
from trainkit.engine.inputs import row_spec
from trainkit.trainer.sources import RowSource

__all__ = ["AugmentedRows", "augmented_rows", "first_batch"]


@dataclass(frozen=True)
class AugmentedRows:
    """Gives the rows of a task's augmentation, each batch checked: it is written into a buffer of the shapes
    and dtypes of the training rows, where NumPy would repeat, leave out or truncate what does not fit.

    Args:
        change: What `Task.augmented` returned.
        spec: The arrays of one row by their names, such as `x/image`.
        task: The task's name, for errors.
    """

    change: Callable[[int, np.ndarray], Any]
    spec: dict[str, tf.TensorSpec]
    task: str

    def __call__(self, epoch: int, rows: np.ndarray) -> tuple[Structure, ...]:
        """Rows of an epoch by their numbers, as `(x[, y[, weight]])`.

        Raises:
            UserError: for rows that are not like those of the training.
        """
        given = self.change(epoch, rows)
        batch: tuple[Structure, ...] = ()
        if isinstance(given, (tuple, list)) and len(given) <= len(PARTS):
            batch = tuple(map_leaves(np.asarray, part) for part in given)
        found = dict(named_leaves(dict(zip(PARTS, batch, strict=False))))
        same = found.keys() == self.spec.keys()
        if not same or not all(_fits(found[name], spec, len(rows)) for name, spec in self.spec.items()):
            came = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in found.items())[:200]
            wanted = (f"{name} {(len(rows), *s.shape)} {s.dtype.name}" for name, s in self.spec.items())
            raise UserError(
                f"Task {self.task}: augmented() gave {came or type(given).__name__} for {len(rows)} rows; "
                f"expected {', '.join(wanted)}, as the training rows are. Give arrays of these shapes and "
                "dtypes, or training rows like those that it gives."
            )
        return tuple(part for part in batch if part is not None)


def augmented_rows(task: Task, train: Arrays, seed: int) -> AugmentedRows | None:
    """The augmentation of a task; None: it has none.

    Raises:
        UserError: if it is no function.
    """
    change = task.augmented(train, seed)
    if change is None:
        return None
    if not callable(change):
        raise UserError(
            f"Task {task.name}: augmented() returned {type(change).__name__}; expected a function of the "
            "epoch and the row numbers, or None."
        )
    spec = dict(named_leaves(dict(zip(PARTS, row_spec(train), strict=False))))
    return AugmentedRows(change, spec, task.name)


def first_batch(source: RowSource, rows: int) -> Arrays | None:
    """A batch of augmented rows, which shows before anything starts whether they fit; None: none are.

    Raises:
        UserError: if they do not fit.
    """
    if source.augmented is None:
        return None
    return Arrays(*source.picked(0, np.arange(min(rows, source.rows), dtype=np.int32)))


def _fits(array: np.ndarray, spec: tf.TensorSpec, rows: int) -> bool:
    """Whether an array has the shape of the rows, and a dtype that theirs can take: float64 for float32, and
    no fractions for whole numbers."""
    if array.shape != (rows, *spec.shape):
        return False
    if spec.dtype == tf.string:
        return array.dtype.kind in "OSUT"
    wanted = spec.dtype.as_numpy_dtype
    if array.dtype.kind in "iu" and spec.dtype.is_integer and array.size:
        return bool(array.min() >= spec.dtype.min and array.max() <= spec.dtype.max)
    return array.dtype == wanted or np.can_cast(array.dtype, wanted, "same_kind")
