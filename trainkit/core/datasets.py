"""The rows of a data set: arrays, the named splits, and where they came from. Needs NumPy alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trainkit.core.dense_rows import as_arrays
from trainkit.core.errors import UserError
from trainkit.core.row_view import RowView, selected, taken
from trainkit.core.tree import Structure, leaves, map_leaves, with_tuples

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["PARTS", "SPLITS", "Arrays", "Fold", "NewRows", "Source", "Splits"]

SPLITS = ("train", "validation", "test")
PARTS = ("x", "y", "weight")  # of a batch, in this order


@dataclass(frozen=True)
class Arrays:
    """Rows: `x`, `y` and optionally a weight per row. Rows are on the first axis.

    Arrays may lie in files, as `np.load(path, mmap_mode="r")` opens them: what does not fit the device is
    read chunk by chunk, and may be larger than the memory. Tensors, frames and series of pandas or polars,
    and lists of numbers or texts become arrays.

    Args:
        x: Array `[N, ...]`, or nested tuples, lists or dicts of them for a model with several inputs.
        y: Array `[N, ...]`, or nested tuples, lists or dicts of them; None for a model that needs no labels.
        weight: Array `[N]` or `[N, T]` that multiplies the loss of each row, or of each of its steps; None:
            all weigh 1.

    Attributes:
        numbers: Which rows of a file these are `[N]`, from 0, for messages; None: not known. Rows that
            replace these have none.

    Raises:
        UserError: if the arrays disagree on the number of rows, or there are none; for what is no array.
    """

    x: Structure
    y: Structure = None
    weight: Structure = None
    numbers: np.ndarray | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in PARTS:
            object.__setattr__(self, name, as_arrays(getattr(self, name), name))
        if not leaves(self.x):
            raise UserError(f"x is {self.x!r}; expected an array of numbers or texts, rows first.")
        rows = {len(a) if np.ndim(a) else 0 for a in leaves((self.x, self.y, self.weight))}
        if rows == {0} and all(map(np.ndim, leaves((self.x, self.y, self.weight)))):
            raise UserError(
                f"There are no rows: the arrays are empty, x has shape {list(np.shape(leaves(self.x)[0]))}. "
                "Expected at least one row; leave out validation or test rows that are none: Splits(train)."
            )
        if len(rows) != 1 or rows == {0}:
            raise UserError(
                "Arrays need one and the same number of rows (at least 1) in x, y and weight; got "
                f"{sorted(rows)}."
            )

    def __len__(self) -> int:
        return len(leaves(self.x)[0])

    def numbered(self, numbers: np.ndarray | None) -> Arrays:
        """The same rows, which are the rows `numbers` `[N]` of a file, from 0."""
        made = copy.copy(self)
        made._number(numbers)
        return made

    def _number(self, numbers: np.ndarray | None) -> None:
        object.__setattr__(self, "numbers", numbers)

    def batch(self) -> tuple[Structure, ...]:
        """The arrays as Keras takes them: `(x,)`, `(x, y)` or `(x, y, weight)`, and tuples for lists."""
        if self.weight is not None:
            return (with_tuples(self.x), with_tuples(self.y), with_tuples(self.weight))
        return (with_tuples(self.x),) if self.y is None else (with_tuples(self.x), with_tuples(self.y))

    def take(self, rows: Any) -> Arrays:
        """The given rows (a slice, or an index array `[n]`) as new `Arrays` in memory."""
        x, y, weight = map_leaves(lambda a: taken(a, rows), (self.x, self.y, self.weight))
        return Arrays(x, y, weight).numbered(None if self.numbers is None else self.numbers[rows])

    def select(self, rows: Any) -> Arrays:
        """The given rows as new `Arrays`; those of arrays in files are not read before they are needed."""
        x, y, weight = map_leaves(lambda a: selected(a, rows), (self.x, self.y, self.weight))
        return Arrays(x, y, weight).numbered(None if self.numbers is None else self.numbers[rows])

    def named(self, rows: Sequence[int] | np.ndarray, name: str) -> tuple[list[int], str]:
        """Rows as messages number them, from 1; and what they are rows of: the data, or the split.

        Args:
            rows: Places in these arrays, from 0.
            name: Of the split: `training`.
        """
        known = self.numbers is not None
        places = np.asarray(rows, int) if self.numbers is None else self.numbers[rows]
        return (places + 1).tolist(), "of the data" if known else f"of the {name} rows"

    @property
    def in_files(self) -> bool:
        """Whether rows lie in files."""
        return any(isinstance(a, (np.memmap, RowView)) for a in leaves((self.x, self.y, self.weight)))

    @property
    def nbytes(self) -> int:
        """Bytes that all arrays take, or would take in memory."""
        return sum(int(a.nbytes) for a in leaves((self.x, self.y, self.weight)))


@dataclass(frozen=True)
class Fold:
    """One of several folds, in place of a share of the rows to validate on.

    Args:
        number: From 0.
        folds: How many there are, at least 2.
    """

    number: int
    folds: int


@dataclass(frozen=True)
class Source:
    """Where rows really came from, as `manifest.json`, `summary.json` and TensorBoard report it.

    Args:
        name: Name of the data set that was used, for people, e.g. `"MNIST"`.
        origin: File, cache or package that the rows were read from.
        sha256: Checksum of the file, or of the bytes of the arrays.
        substitute_for: The data set that was asked for if this is not it, else "".
    """

    name: str = "unnamed"
    origin: str = "memory"
    sha256: str = ""
    substitute_for: str = ""


@dataclass(frozen=True)
class NewRows:
    """Rows that the training did not have.

    Args:
        arrays: The rows. Labels that are not asked for are placeholders of the right shape, so that the rows
            can stand where a model is built for training rows.
        source: Where they came from.
        names: Columns that say which row is which, `[N]` each, by name: `path` of images.
        notes: What people should know of the rows, one sentence each.
        raw: Gives the rows as `Task.serving_model` takes them; None: as they are in `arrays`.
    """

    arrays: Arrays
    source: Source = field(default_factory=Source)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    raw: Callable[[], Structure] | None = None


@dataclass(frozen=True)
class Splits:
    """The named parts of a data set.

    Each may also be a `tf.data.Dataset` of rows `(x, y[, weight])` or of batches of them (`.batch(n)`), a
    `keras.utils.PyDataset`, or a generator of batches. A Dataset or `PyDataset` of training rows is read anew
    in every epoch, in its own order. A generator of training rows is read on from epoch to epoch where the
    trainer has `limit_train_batches`. All else is read once, into memory.
    """

    train: Arrays | tf.data.Dataset | Any
    validation: Arrays | Any = None
    test: Arrays | Any = None
    source: Source = field(default_factory=Source)

    def in_memory(self) -> dict[str, Arrays]:
        """The splits that are arrays, by name."""
        parts = {name: getattr(self, name) for name in SPLITS}
        return {name: part for name, part in parts.items() if isinstance(part, Arrays)}
