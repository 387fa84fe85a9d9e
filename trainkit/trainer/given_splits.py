"""Splits that are no arrays: a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator for each of them.

Training rows are read anew in every epoch, so they become a Dataset of single rows of known number;
validation and test rows are read once, into memory. So is a generator, which can be read but once, unless the
number of steps per epoch is given.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend.compat import pipelines
from trainkit.core import figures
from trainkit.core.datasets import SPLITS, Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.memory import available_host_bytes
from trainkit.core.tree import leaves
from trainkit.trainer.generated_rows import (
    GeneratedRows,
    as_batch,
    checked_batches,
    read_ahead,
    unopened,
    unwrapped,
)

__all__ = ["is_counted", "readable", "warn_of_batches"]

MEMORY_SHARE = 0.5  # of the free memory that rows which are read once may take
ARRAY_BYTES = 128  # that an array takes besides its values
TOLD_SECONDS = 10.0  # of reading, after which it is told


def readable(splits: Splits, most_rows: int | None = None, epochs: int = 1) -> Splits:
    """The same splits, as the loops read them.

    Args:
        splits: Each split may be `Arrays`, a Dataset of rows or of batches of unknown size (`.batch(n)`), a
            `PyDataset`, or a generator of batches.
        most_rows: Training rows that an epoch takes at most; None: all.
        epochs: Of the training. A generator that has fewer rows than they take is read whole.

    Raises:
        UserError: for rows that never end, do not fit into memory, or are none of these.
    """
    changed: dict[str, Any] = {}
    for name in SPLITS:
        part = getattr(splits, name)
        if part is None or isinstance(part, Arrays):
            continue
        if name == "train" and most_rows is not None and isinstance(part, Iterator):
            ahead, ended = read_ahead(part, most_rows * epochs)
            if ended:
                changed[name] = _in_memory(iter(ahead), name)
            else:
                changed[name] = GeneratedRows(chain(ahead, part), most_rows).dataset()
        elif name == "train" and isinstance(part, (tf.data.Dataset, keras.utils.PyDataset)):
            changed[name] = _rows(part, most_rows)
        else:
            changed[name] = _in_memory(part, name)
    return replace(splits, **changed) if changed else splits


def is_counted(part: Any) -> bool:
    """Whether rows are a Dataset that says how many elements it has."""
    return isinstance(part, tf.data.Dataset) and int(part.cardinality()) >= 0


def warn_of_batches(given: Any, rows: int, size: int) -> None:
    """Say where a Dataset's own batches are not those that are trained.

    Args:
        given: The training rows as the task gives them.
        rows: How many there are.
        size: Rows per batch of the training.
    """
    if not isinstance(given, tf.data.Dataset) or not _is_batched(given):
        return
    own, shuffled = pipelines.batching(given)
    if own is None:
        return
    if own != size:
        warnings.warn(
            f"The Dataset of training rows is batched by {own}, and trains in batches of trainer.batch_size="
            f"{size}, cut anew; set that to {own} to train its own.",
            stacklevel=2,
        )
    elif shuffled and rows % own:
        warnings.warn(
            f"The Dataset of training rows shuffles its batches of {own}, of which one is smaller; steps are "
            "cut anew, and the smaller one comes last. To train its own batches, shuffle the rows before "
            ".batch(), or use drop_remainder=True.",
            stacklevel=2,
        )


def _rows(part: Any, most_rows: int | None) -> tf.data.Dataset:
    """A Dataset of single rows whose number is known."""
    dataset = part if isinstance(part, tf.data.Dataset) else _py_dataset(part)
    batched = _is_batched(dataset)
    if any(one.shape.rank is None for one in tf.nest.flatten(dataset.element_spec)):
        raise UserError(
            "The training rows have unknown shapes, as numpy_function and py_function leave them; call "
            "tensor.set_shape([...]) in the function that you map, so that rows can be told from batches."
        )
    known = int(dataset.cardinality())
    if known == tf.data.INFINITE_CARDINALITY and most_rows is None:
        raise UserError(
            "The training rows never end: say how many steps an epoch has, trainer.limit_train_batches=N, or "
            "add .take(n) to the dataset."
        )
    if not batched and known >= 0:
        return dataset
    rows = dataset.unbatch() if batched else dataset
    number = _count(dataset, batched, most_rows)
    if most_rows is not None:
        rows = rows.take(number)
    return rows.apply(tf.data.experimental.assert_cardinality(number))


def _count(dataset: tf.data.Dataset, batched: bool, most: int | None) -> int:
    """Rows of a dataset, by reading it once; at most `most`."""
    number = 0
    with unwrapped():
        for element in unopened(dataset):
            number += _rows_of_batch(element) if batched else 1
            if most is not None and number >= most:
                return most
    if not number:
        raise UserError("There are no training rows: the Dataset is empty.")
    return number


def _rows_of_batch(batch: Any) -> int:
    counts = [int(tensor.shape[0]) for tensor in tf.nest.flatten(batch)]
    if len(set(counts)) != 1:
        raise UserError(
            f"A batch of the training rows has tensors of {counts} rows; a task cuts batches anew, and needs "
            "the same number in all. Train such batches as they come by trainkit.fit(model, dataset)."
        )
    return counts[0]


def _is_batched(dataset: tf.data.Dataset) -> bool:
    """Whether the elements are batches: all have a first axis of unknown size, or the dataset was batched
    with `drop_remainder=True`."""
    found = tf.nest.flatten(dataset.element_spec)
    if not all(isinstance(one, tf.TensorSpec) for one in found):
        raise UserError(
            "Ragged and sparse rows train by trainkit.fit(model, dataset); a task needs dense ones."
        )
    if not all(one.shape.rank for one in found):
        return False
    return all(one.shape[0] is None for one in found) or pipelines.ends_in_batches(dataset)


def _py_dataset(part: keras.utils.PyDataset) -> tf.data.Dataset:
    """The batches of a `PyDataset`, which is told of the end of each epoch."""
    number = part.num_batches
    if number is None:
        raise UserError(f"{type(part).__name__} does not say its num_batches; a task needs to know it.")
    first = as_batch(part[0])

    def batches() -> Iterator[Any]:
        yield from checked_batches((part[index] for index in range(number)), "train")
        part.on_epoch_end()

    spec = tf.nest.map_structure(lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), first)
    return tf.data.Dataset.from_generator(batches, output_signature=spec)


def _in_memory(part: Any, name: str) -> Arrays:
    """All rows of a split as arrays."""
    if isinstance(part, tf.data.Dataset):
        if int(part.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise UserError(f"The {name} rows never end: add .take(n) to the dataset.")
        batched = part if _is_batched(part) else part.batch(1024)
        batches: Iterable[Any] = batched.as_numpy_iterator()
    elif isinstance(part, keras.utils.PyDataset) and part.num_batches is not None:
        batches = (part[index] for index in range(part.num_batches))
    elif isinstance(part, Iterator):
        batches = part
    else:
        raise UserError(
            f"The {name} rows are {type(part).__name__}; expected Arrays, a tf.data.Dataset, a "
            "keras.utils.PyDataset that says its num_batches, or a generator of batches."
        )
    found: list[Any] = []
    size = 0
    most = MEMORY_SHARE * available_host_bytes()
    told_at = time.monotonic() + TOLD_SECONDS
    for batch in checked_batches(iter(batches), name):
        size += sum(array.nbytes + ARRAY_BYTES for array in leaves(batch))
        if time.monotonic() > told_at:
            told_at = math.inf
            warnings.warn(
                f"The {name} rows are read into memory, {figures.size(size)} so far. If they never end, "
                f"{_ending(name)}.",
                stacklevel=2,
            )
        if size > most:
            raise UserError(
                f"The {name} rows do not end within {figures.size(size)}, half of the free memory: "
                f"{_ending(name)}."
            )
        found.append(batch)
    if not found:
        raise UserError(f"There are no {name} rows: the {type(part).__name__} is empty.")
    return Arrays(*tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *found))


def _ending(name: str) -> str:
    """What to do about rows that do not end."""
    steps = ", or say how many steps an epoch has: trainer.limit_train_batches=N" if name == "train" else ""
    return f"give a generator that ends, or a dataset with .take(n){steps}"
