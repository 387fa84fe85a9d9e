"""What a task is: the data, model, loss and metrics that a `Trainer` trains. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# One array, or a tuple or dict of arrays for a model with several inputs or outputs.
Structure = Any


class UserError(Exception):
    """Something that the user gave is wrong. Its message says what came, what was expected and what to do; shown without traceback."""


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


class Task(ABC):
    """A frozen dataclass that makes the Keras objects of one training problem; every call makes fresh objects.

    Override `data`, `model`, `loss`; `metrics`, `optimizer`, `monitor`, `class_weight`, `decode` have defaults.
    A task that needs its own step (several losses, a custom objective) overrides `compute` alone.
    """

    @property
    def name(self) -> str:
        """The class name in snake case: `MNISTCNN` or `MnistCnn` -> `mnist_cnn`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    @abstractmethod
    def data(self) -> Splits:
        """Load and split the rows. Statistics must come from the training rows only."""

    @abstractmethod
    def model(self, train: Arrays) -> keras.Model:
        """Build the model. `train` is the training rows, for statistics and shapes; the model maps `x [B, ...]` to its outputs."""

    @abstractmethod
    def loss(self) -> Any:
        """The loss: a Keras loss, or a list or dict of them for several outputs."""

    def metrics(self) -> Any:
        """Fresh metrics: a list, or for several outputs a list or dict of lists."""
        return []

    def loss_weights(self) -> Any:
        """Weights of the losses of several outputs, or None."""
        return None

    def class_weight(self) -> Mapping[int, float] | None:
        """Weight of each class in the training loss, or None."""
        return None

    def optimizer(self) -> keras.optimizers.Optimizer:
        """The recipe's default optimizer; the `optimizer=` group of the command overrides it."""
        import keras

        return keras.optimizers.Adam()

    def monitor(self) -> str:
        """The value that decides which epoch is best, e.g. `val_loss` or `val_accuracy`."""
        return "val_loss"

    def compute(self, model: keras.Model, batch: tuple[Structure, ...], training: bool) -> tuple[Any, Structure]:
        """Forward pass and loss of one batch, in the graph.

        Args:
            model: The compiled model.
            batch: `(x, y)` or `(x, y, weight)`, tensors with the rows of this batch `[B, ...]`.
            training: True in training steps.

        Returns:
            `(loss, outputs)`: the scalar to be minimised (a mean over the rows), and what the metrics compare with `y`.
        """
        x, y, weight = (*batch, None)[:3]
        outputs = model(x, training=training)
        return model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weight, training=training), outputs

    def decode(self, values: np.ndarray) -> list[str]:
        """How `predict` shows outputs or labels `[N, ...]` to people: one text a row. Several columns are read as class scores."""
        flat = np.asarray(values).reshape(len(values), -1)
        return [str(int(row.argmax())) if flat.shape[1] > 1 else f"{row[0]:.4g}" for row in flat]


def leaves(structure: Structure) -> Iterable[Any]:
    """The arrays of a structure of tuples, lists and dicts, in order; None has none."""
    if isinstance(structure, Mapping):
        for key in structure:
            yield from leaves(structure[key])
    elif isinstance(structure, (tuple, list)):
        for item in structure:
            yield from leaves(item)
    elif structure is not None:
        yield structure


def map_leaves(function: Any, structure: Structure) -> Structure:
    """`function` applied to every array of a structure, the structure kept."""
    if isinstance(structure, Mapping):
        return {key: map_leaves(function, value) for key, value in structure.items()}
    if isinstance(structure, (tuple, list)):
        return type(structure)(map_leaves(function, value) for value in structure)
    return None if structure is None else function(structure)


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'? Known: …`"""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(known)}."
