"""What a task is: the data, model, loss and metrics that a `Trainer` trains. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf
from trainkit.core.errors import UserError
from trainkit.core.tree import Structure, leaves, map_leaves


@dataclass(frozen=True)
class Arrays:
    """Rows held in memory: `x`, `y` and optionally one weight per row; every array has the rows on its first axis.

    Args:
        x: Array `[N, ...]`, or a tuple or dict of them for a model with several inputs.
        y: Array `[N, ...]`, or a tuple or dict of them for a model with several outputs.
        weight: Array `[N]` that multiplies each row's loss, or None.

    Raises:
        UserError: if the arrays disagree on the number of rows, or there are none.
    """

    x: Structure
    y: Structure
    weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        rows = {len(a) for a in leaves((self.x, self.y, self.weight))}
        if len(rows) != 1 or rows == {0}:
            raise UserError(f"Arrays need one and the same number of rows (at least 1) in x, y and weight; got {sorted(rows)}.")

    def __len__(self) -> int:
        return len(next(iter(leaves(self.x))))

    def batch(self) -> tuple[Structure, ...]:
        """The arrays as Keras takes them: `(x, y)` or `(x, y, weight)`."""
        return (self.x, self.y) if self.weight is None else (self.x, self.y, self.weight)

    def take(self, rows: Any) -> Arrays:
        """The given rows (a slice, or an index array `[n]`) as new `Arrays`."""
        x, y, weight = map_leaves(lambda a: a[rows], (self.x, self.y, self.weight))
        return Arrays(x, y, weight)


@dataclass(frozen=True)
class Source:
    """Where rows really came from, as `manifest.json`, `summary.json` and TensorBoard tell it.

    Args:
        name: Human name of the data set that was used, e.g. `"MNIST"`.
        origin: File, cache or package that the rows were read from.
        sha256: Checksum of the file, or of the bytes of the arrays.
        substitute_for: The data set that was wanted if this is not it, else "".
    """

    name: str = "unnamed"
    origin: str = "memory"
    sha256: str = ""
    substitute_for: str = ""


@dataclass(frozen=True)
class Splits:
    """The named parts of a data set. `train` may also be a `tf.data.Dataset` of single rows `(x, y[, weight])` (see `trainkit.data`)."""

    train: Arrays | tf.data.Dataset
    validation: Arrays | None = None
    test: Arrays | None = None
    source: Source = field(default_factory=Source)
