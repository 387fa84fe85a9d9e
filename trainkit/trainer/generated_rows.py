"""Batches that a generator makes: each checked against the first, and read on from one epoch to the next."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend.compat import pipelines
from trainkit.core.datasets import PARTS
from trainkit.core.errors import UserError
from trainkit.core.tree import leaves, map_leaves, named_leaves

__all__ = [
    "GeneratedRows",
    "as_batch",
    "batches_of",
    "checked_batches",
    "read_ahead",
    "unopened",
    "unwrapped",
]

Batch = tuple[Any, ...]
AHEAD_BYTES = 2**28  # that are read before a training, to see whether its generator ends too early


def as_batch(batch: Any) -> Batch:
    """`(x[, y[, weight]])` as arrays."""
    batch = batch if isinstance(batch, tuple) else (batch,)
    return tuple(tf.nest.map_structure(np.asarray, part) for part in batch if part is not None)


def checked_batches(batches: Iterator[Any], name: str) -> Iterator[Batch]:
    """The batches as arrays, all of one form.

    Raises:
        UserError: for the first that has no rows, or other arrays, widths or types than the first one.
    """
    first: dict[str, Any] | None = None
    for number, given in enumerate(batches, 1):
        batch = as_batch(given)
        arrays = dict(named_leaves(dict(zip(PARTS, batch, strict=False))))
        counts = {a.shape[:1] for a in arrays.values()}
        if len(batch) > len(PARTS) or len(counts) != 1 or counts & {(), (0,)}:
            raise UserError(
                f"Batch {number} of the {name} rows has {_shown(arrays)}; expected (x, y) or (x, y, weight) "
                "with one and the same number of rows, at least 1."
            )
        form = {path: (a.shape[1:], a.dtype.kind) for path, a in arrays.items()}
        if first is None:
            first = form
            usual = _shown(arrays)
        if form != first:
            raise UserError(
                f"Batch {number} of the {name} rows has {_shown(arrays)}; expected rows like those of the "
                f"first batch, {usual}."
            )
        yield batch


def read_ahead(batches: Iterator[Any], rows: int) -> tuple[list[Any], bool]:
    """The first batches of a generator, and whether there are no others: enough for `rows`, if it has them
    and they are not too large to be kept."""
    ahead: list[Any] = []
    read = size = 0
    for given in batches:
        ahead.append(given)
        arrays = leaves(as_batch(given))
        read += max((len(a) for a in arrays if a.ndim), default=1)
        size += sum(a.nbytes for a in arrays)
        if read >= rows or size > AHEAD_BYTES:
            return ahead, False
    return ahead, True


def _shown(arrays: dict[str, Any]) -> str:
    return ", ".join(f"{path} {a.shape} {a.dtype}" for path, a in arrays.items())[:300] or "nothing"


class GeneratedRows:
    """The training rows of a generator of which each epoch takes a part, and the next one goes on behind it.

    Args:
        batches: Batches of any size.
        rows: Rows per epoch.

    Raises:
        UserError: if there are none, or what comes is no batch.
    """

    def __init__(self, batches: Iterator[Any], rows: int) -> None:
        self.batches = checked_batches(batches, "train")
        self.rows = rows
        self._read = 0
        self._rest: Batch | None = self._next()

    def dataset(self) -> tf.data.Dataset:
        """A Dataset of the rows of the next epoch, each time that it is opened."""
        spec = tf.nest.map_structure(lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), self._rest)
        batches = tf.data.Dataset.from_generator(self._epoch, output_signature=spec)
        return batches.unbatch().apply(tf.data.experimental.assert_cardinality(self.rows))

    def _epoch(self) -> Iterator[Batch]:
        missing = self.rows
        while missing:
            batch = self._rest or self._next()
            count = min(missing, _rows(batch))
            missing -= count
            rest: Batch = map_leaves(itemgetter(slice(count, None)), batch)
            self._rest = rest if _rows(rest) else None
            yield map_leaves(itemgetter(slice(count)), batch)

    def _next(self) -> Batch:
        batch = next(self.batches, None)
        if batch is None:
            raise UserError(
                f"The generator of training rows ended after {self._read} rows; each epoch takes "
                f"{self.rows} more. Let it go on, train fewer epochs, or leave trainer.limit_train_batches "
                "out: then its rows are read once, and each epoch trains all of them."
            )
        self._read += _rows(batch)
        return batch


def _rows(batch: Batch) -> int:
    return len(leaves(batch)[0])


def batches_of(dataset: tf.data.Dataset, step_rows: int, start: int, *, python: bool = True) -> Iterator[Any]:
    """Batches of single rows as NumPy structures, from batch `start` on.

    Args:
        dataset: The rows.
        step_rows: Rows per batch.
        start: First batch.
        python: Whether Python code makes the rows; it is told of their end at once.

    Raises:
        UserError: for rows of several shapes in one batch; and as `unwrapped`.
    """
    held = [dataset.batch(step_rows).skip(start).as_numpy_iterator()]
    try:
        with unwrapped(step_rows):
            yield from held[0]
    finally:
        if not python:
            pipelines.let_go(held)


def unopened(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset for a look at its rows before the training, which then begins with its first order all the
    same."""
    if pipelines.shuffled_anew(dataset) != "seeded":
        return dataset
    try:
        return pipelines.set_apart(dataset)
    except (tf.errors.OpError, ValueError):
        warnings.warn(
            "The training rows are read once before the training, to count or check them, and the dataset "
            "cannot be copied for that: the first order of its shuffle is used up.",
            stacklevel=2,
        )
        return dataset


@contextmanager
def unwrapped(step_rows: int = 1) -> Iterator[None]:
    """Raise what our Python code that makes the rows of a dataset has raised: TensorFlow wraps it."""
    try:
        yield
    except tf.errors.OpError as error:
        shapes = re.findall(r"had shape (\[.*?\])", str(error))
        if shapes and "different shapes" in str(error):
            raise UserError(
                f"The rows of a step must have one shape; {' and '.join(shapes)} met in steps of {step_rows} "
                "rows, as trainer.batch_size cuts them. Set it to that of the dataset; where its batches "
                "differ in size, train them as they come by trainkit.fit(model, dataset), or pad all rows to "
                "one width: .padded_batch(n, padded_shapes=...)."
            ) from error
        said = re.search(r"UserError: (.+)", str(error))
        if said is None:
            raise
        raise UserError(said[1]) from error
