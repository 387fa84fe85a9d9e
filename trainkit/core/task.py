"""What a task is: the data, model, loss and metrics that a `Trainer` trains. Imports neither TensorFlow nor
Keras."""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from trainkit.core.datasets import Arrays, Fold, NewRows, Splits
from trainkit.core.errors import UserError
from trainkit.core.tree import Structure

if TYPE_CHECKING:
    import keras

__all__ = ["Task"]


class Task(ABC):
    """A frozen dataclass that makes the Keras objects of one training problem; each call makes fresh ones.

    Override `data`, `model`, `loss`; the others, such as `metrics` and `optimizer`, have defaults.
    A task that needs its own step (several losses, a custom objective) overrides `compute` alone. One that
    prepares its rows outside of the model overrides `serving_model`, which gives the model that is exported.
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
        """Build the model, which maps `x [B, ...]` to its outputs.

        Args:
            train: The training rows, for statistics and shapes.
        """

    @abstractmethod
    def loss(self) -> Any:
        """The loss: whatever `model.compile(loss=...)` takes; None for a model that only adds losses
        itself."""

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

    def compute(
        self, model: keras.Model, batch: tuple[Structure, ...], training: bool
    ) -> tuple[Any, Structure]:
        """Forward pass and loss of one batch, in the graph.

        Args:
            model: The compiled model.
            batch: `(x,)`, `(x, y)` or `(x, y, weight)`, tensors with the rows of this batch `[B, ...]`.
            training: True in training steps.

        Returns:
            `(loss, outputs)`: the scalar to be minimised (a mean over the rows), and what the metrics compare
            with `y`.
        """
        x, y, weight = (*batch, None, None)[:3]
        outputs = model(x, training=training)
        loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weight, training=training)
        return loss, outputs

    def with_validation(self, validation: float | Fold) -> Task | None:
        """This task with other validation rows, for cross-validation; the test rows stay what they are.

        A dataclass with a field `validation` that it hands to `data.holdout`, as ours do, needs no more.

        Args:
            validation: A share of the rows that are not test rows, or one of several folds of them.

        Returns:
            The task; None: it cannot, and its rows are split as `data()` gives them.
        """
        if not dataclasses.is_dataclass(self) or "validation" not in {
            f.name for f in dataclasses.fields(self)
        }:
            return None
        return cast(Task, dataclasses.replace(cast(Any, self), validation=validation))

    def augmented(self, train: Arrays, seed: int) -> Callable[[int, np.ndarray], tuple[Any, ...]] | None:
        """How training rows are changed each time that they are read; None: not at all.

        Returns a function of the epoch and the row numbers `[B]`, which gives `(x, y[, weight])` of the
        dtypes and shapes of `train`; others are refused. The same arguments give the same rows, in whatever
        batch.

        Args:
            train: The training rows.
            seed: Of the training.
        """
        return None

    def serving_model(self, model: keras.Model) -> keras.Model:
        """The model that an export serves. It takes rows as they were before the task prepared them, and
        answers in class names, or in the target's unit.

        Args:
            model: A trained model of this task.

        Returns:
            The model itself, unless the task prepares its rows outside of it.
        """
        return model

    def serving_rows(self, split: str, rows: Arrays) -> Structure:
        """What `serving_model` takes for the rows of a split; an export is compared on them.

        Args:
            split: `train`, `validation` or `test`.
            rows: The prepared rows of that split.

        Returns:
            The inputs of these rows, unless the task prepares its rows outside of the model.
        """
        return rows.x

    def of_run(self, run: Path) -> Task:
        """This task as a run trained it: what was fitted to the training rows comes from the run's files.

        Args:
            run: Directory of the run.
        """
        return self

    def run_files(self) -> Mapping[str, str]:
        """Texts that a run keeps for `of_run` and for people, by file name: `schema.json`."""
        return {}

    def description(self) -> str:
        """What is shown of the data before the training, such as the columns of a table; "": nothing."""
        return ""

    def unread_arguments(self) -> Mapping[str, str]:
        """Arguments that nothing looks at as the others stand, each with the reason. The command refuses them
        where the user sets them.

        Example: `{"width": "only body=convolutional has this"}`.
        """
        return {}

    def trainer_defaults(self) -> Mapping[str, int]:
        """Settings of the trainer that suit the data: `epochs` and `batch_size`. The command takes them where
        the user sets none."""
        return {}

    def new_rows(self, path: Any) -> NewRows:
        """Rows without labels, for predictions.

        Args:
            path: A file or folder like that of the training.

        Raises:
            UserError: if they cannot be read, or do not fit the training's.
        """
        raise UserError(f"predict.path={path}: task {self.name} reads no files; use predict.split.")

    def labelled_rows(self, path: Any) -> NewRows:
        """Rows with labels that the training did not have, to measure the model on.

        Args:
            path: A file or folder like that of the training.

        Raises:
            UserError: if they cannot be read, or do not fit the training's.
        """
        raise UserError(f"evaluate.path={path}: task {self.name} reads no files; leave it out.")

    def output_names(self) -> Sequence[str] | None:
        """A name for each number that the model gives per row, for `predictions.csv`. None: `output_0` and so
        on; empty: `decode` says it all."""
        return None

    def class_names(self) -> Sequence[str] | None:
        """Names of the classes; None: they are numbers, or there are none."""
        return None

    def in_unit(self, values: np.ndarray) -> np.ndarray:
        """Numbers `[N]`, as the model is trained on them, in the target's own unit."""
        return values

    def unit(self) -> str:
        """Unit of the target, for axes; "" if it has none, or is a class."""
        return ""

    def shown_columns(self, split: str, rows: np.ndarray) -> Mapping[str, Sequence[str]]:
        """Rows of a split, by their numbers `[n]`, as they stand in the file: texts by column."""
        return {}

    def shuffled_columns(self, split: str, seed: int, chosen: np.ndarray) -> Iterator[tuple[str, Structure]]:
        """For each column of a table its name, and the inputs of a split with that column shuffled.

        Args:
            split: The split.
            seed: Of the shuffle.
            chosen: Which of its rows, numbers `[n]` from 0.

        Raises:
            UserError: if the task has no columns.
        """
        raise UserError(
            f"evaluate.importance=true: task {self.name} has no columns to shuffle; leave it out."
        )

    def decode(self, values: np.ndarray) -> list[str]:
        """How `predict` shows outputs or labels `[N, ...]` to people: one text per row.

        Several columns are read as the scores of classes.
        """
        flat = np.asarray(values).reshape(len(values), -1)
        return [str(int(row.argmax())) if flat.shape[1] > 1 else f"{row[0]:.4g}" for row in flat]
