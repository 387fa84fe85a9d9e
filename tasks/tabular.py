"""A table of your own, CSV or Parquet: a class or a number of each row from its other columns.

Numbers, dates and categories of few values become numbers, other categories and texts are embedded, and a
dense network reads all of them. A linear path beside the hidden layers lets it be as simple as the data are;
H.-T. Cheng et al.: Wide & Deep Learning for Recommender Systems, arXiv:1606.07792.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers

from trainkit.config import DataConfig, validate_task
from trainkit.config.fields import setting
from trainkit.core.datasets import Arrays, Fold, NewRows, Splits
from trainkit.core.number_texts import number_texts
from trainkit.core.task import Task
from trainkit.core.tree import Structure
from trainkit.data import fitted
from trainkit.data.class_weights import with_class_weights
from trainkit.data.preparation.keras_twin import with_preprocessing
from trainkit.data.preparation.labels import ClassLabels, NumberTarget
from trainkit.data.preparation.preparation import Preparation, PreparedInput
from trainkit.data.schema import Schema
from trainkit.data.schema_table import table_text
from trainkit.data.settings import data_config, refuse_unused
from trainkit.data.table_data import TableData, table_data
from trainkit.metrics.by_name import number_loss, number_metrics
from trainkit.tasks import recipes
from trainkit.tasks.classification import Classification, class_scores

__all__ = ["Tabular", "TabularClassification", "TabularRegression"]

OF_IMAGES = ("augment", "image_size", "channels", "path_column")  # settings that a table has no use for


@dataclass(frozen=True)
class Tabular(Task):
    """Rows of a table: a dict of prepared columns, as `Preparation.encode` gives them.

    `serving_model` takes the columns as they stand in the file.

    Args:
        settings: The group `data` of the settings: `path`, `target` and the others, see `DataConfig`.
        units: Units of each hidden layer.
        dropout: Share of the units that each hidden layer drops, from 0 to less than 1.
        embedding: Numbers per category; None: by the number of categories, 4 to 16 as a rule.
        linear: Whether the outputs also depend linearly on the inputs.
        l2: Penalty of the squared weights; None: `2.5 / rows` for classes, `3.5 / rows` for numbers, which
            counts for less the more rows there are.
        validation: Rows to validate on in place of `data.validation`: a share, or one of several folds.
        run: Directory of the run that this task continues or opens.
    """

    settings: DataConfig | Mapping[str, Any] = field(default_factory=DataConfig)
    units: tuple[int, ...] | list[int] = setting((64, 64), "hidden layers", at_least=1, example="[64,64]")
    dropout: float = setting(0.3, "rate after each hidden layer", at_least=0, below=1)
    embedding: int | None = setting(None, "numbers per category; null: by how many there are", at_least=1)
    linear: bool = setting(True, "a linear path beside the hidden layers")
    l2: float | None = setting(None, "penalty of the squared weights; null: by the rows", at_least=0)
    validation: float | Fold | None = None
    run: Path | None = field(default=None, compare=False)

    problem: ClassVar[str] = ""
    penalty: ClassVar[float] = 2.5  # of the squared weights, per row
    sizes: ClassVar[Mapping[str, int]] = {"batches": 24, "smallest": 32, "largest": 1024, "steps": 2000}

    def __post_init__(self) -> None:
        validate_task(self)

    def unread_arguments(self) -> Mapping[str, str]:
        return {} if self.units else {"dropout": "only hidden layers have this, and task.units=[] has none"}

    @cached_property
    def config(self) -> DataConfig:
        """The settings, checked."""
        config = data_config(self.settings)
        refuse_unused(config, OF_IMAGES, "only images have this")
        return config

    @property
    def table(self) -> TableData:
        """The table as it is now, which must be the one that a run was trained on.

        Raises:
            UserError: if it cannot be used, or has changed since.
        """
        if self.run is not None:
            fitted.check_same_split(self.config, self.fitted[0])
        found = table_data(self.config, self.problem, self.validation)
        if self.run is not None:
            fitted.check_same_schema(found.schema, self.fitted[0], found.source, found.former)
        return found

    @cached_property
    def fitted(self) -> tuple[Schema, Preparation]:
        """Schema and preparation, from the run's files if there is a run."""
        if self.run is not None:
            return fitted.read_fitted(self.run)
        return self.table.schema, self.table.preparation

    @property
    def preparation(self) -> Preparation:
        """Fitted to the training rows."""
        return self.fitted[1]

    def of_run(self, run: Path) -> Task:
        return replace(self, run=run)

    def run_files(self) -> Mapping[str, str]:
        return fitted.fitted_files(*self.fitted)

    def description(self) -> str:
        penalty = self.weight_penalty
        told = f"Each loss below includes task.l2={penalty:.3g} times the sum of the squared weights."
        notes = [f"! {note}" for note in self.table.notes]
        return "\n".join([table_text(self.fitted[0]), *([told] if penalty else []), *notes])

    def data(self) -> Splits:
        return self.table.splits(self.preparation)

    def trainer_defaults(self) -> Mapping[str, int]:
        sizes: Mapping[str, int] = recipes.sizes(len(self.table.rows["train"]), **self.sizes)
        return sizes

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(3e-3)

    @property
    def training_rows(self) -> int:
        """About the number of training rows, which is known without the table."""
        return max(1, round(0.64 * self.fitted[0].rows))

    @property
    def weight_penalty(self) -> float:
        """What the loss grows by per squared weight."""
        return self.penalty / self.training_rows if self.l2 is None else self.l2

    def model(self, train: Arrays) -> keras.Model:
        inputs = {}
        parts = []
        for name, described in self.preparation.inputs.items():
            inputs[name] = keras.Input(described.shape, dtype=described.dtype, name=name)
            parts.append(self.features_of(name, described, inputs[name]))
        features = parts[0] if len(parts) == 1 else layers.Concatenate(name="features")(parts)
        penalty = keras.regularizers.L2(self.weight_penalty)
        x = features
        for units in self.units:
            x = layers.Dense(units, activation="relu", kernel_regularizer=penalty)(x)
            x = layers.Dropout(self.dropout)(x)
        outputs = layers.Dense(self.outputs, kernel_regularizer=penalty, name="deep")(x)
        if self.linear and self.units:
            direct = layers.Dense(self.outputs, use_bias=False, kernel_regularizer=penalty, name="linear")
            outputs = layers.Add()([outputs, direct(features)])
        return keras.Model(inputs, self.head(outputs))

    def features_of(self, name: str, described: PreparedInput, raw: Any) -> Any:
        """Numbers `[B, K]` of one prepared input: categories are embedded, texts by the mean of their words.

        Args:
            name: Of the input.
            described: What it holds.
            raw: The input.
        """
        if not described.size:
            return raw
        width = self.embedding or recipes.embedding(described.size)
        is_text = bool(described.shape)
        embedded = layers.Embedding(described.size, width, mask_zero=is_text, name=f"{name}_embedding")(raw)
        return layers.GlobalAveragePooling1D()(embedded) if is_text else embedded

    @property
    def outputs(self) -> int:
        """Numbers that the model gives per row."""
        raise NotImplementedError

    def head(self, outputs: Any) -> Any:
        """The last layer."""
        raise NotImplementedError

    def new_rows(self, path: Any) -> NewRows:
        rows: NewRows = fitted.new_rows(path, self.config, *self.fitted, texts=self.problem == "text")
        return rows

    def labelled_rows(self, path: Any) -> NewRows:
        rows: NewRows = fitted.labelled_rows(path, self.config, *self.fitted, texts=self.problem == "text")
        return rows

    def shown_columns(self, split: str, rows: np.ndarray) -> Mapping[str, Sequence[str]]:
        table = self.table
        chosen = table.rows[split][rows]
        return {"row": [str(row + 1) for row in chosen], **table.texts(chosen)}

    def shuffled_columns(self, split: str, seed: int, chosen: np.ndarray) -> Iterator[tuple[str, Any]]:
        table = self.table
        rows = table.rows[split][chosen]
        columns = {feature.name: table.columns[feature.name][rows] for feature in table.schema.features}
        for i, (name, column) in enumerate(columns.items()):
            order = np.random.default_rng([seed, i]).permutation(len(rows))
            yield name, self.preparation.encode({**columns, name: column[order]})

    def serving_model(self, model: keras.Model) -> keras.Model:
        """A model that takes the columns as they stand in the file, and answers in class names, or in the
        target's unit; see `trainkit.data.with_preprocessing`."""
        return with_preprocessing(model, self.preparation)

    def serving_rows(self, split: str, rows: Arrays) -> Structure:
        """The columns of a split as they stand in the file."""
        table = self.table
        return self.preparation.raw(table.columns, table.rows[split][: len(rows)])


@dataclass(frozen=True)
class TabularClassification(Tabular, Classification):
    """A class of each row: a dict of prepared columns to probabilities `[B, C]`."""

    problem: ClassVar[str] = "classification"

    @property
    def labels(self) -> ClassLabels:
        target = self.preparation.target
        assert isinstance(target, ClassLabels)
        return target

    @property
    def outputs(self) -> int:
        return len(self.labels.classes)

    def head(self, outputs: Any) -> Any:
        return class_scores(outputs, self.labels)

    def data(self) -> Splits:
        splits = super().data()
        assert isinstance(splits.train, Arrays)
        return replace(splits, train=with_class_weights(splits.train, self.labels, self.class_weights))


@dataclass(frozen=True)
class TabularRegression(Tabular):
    """A number of each row: a dict of prepared columns to the scaled number `[B, 1]`.

    Args:
        loss_function: Name of a Keras loss, or `{name: ..., argument: value}`; None: the squared error.
        scores: Metrics by name, or `{name: ..., argument: value}`, in the target's own unit; see
            `trainkit.metrics.by_name`.
    """

    loss_function: Any = None
    scores: tuple[Any, ...] | list[Any] = setting(
        ("rmse", "mae", "r2"),
        "metrics in the target's unit, by name or {name: ..., argument: value}",
        example="[rmse,mae]",
    )

    problem: ClassVar[str] = "regression"
    penalty: ClassVar[float] = 3.5  # `python -m benchmarks.tables`

    @property
    def target(self) -> NumberTarget:
        """How the number is scaled."""
        target = self.preparation.target
        assert isinstance(target, NumberTarget)
        return target

    @property
    def outputs(self) -> int:
        return 1

    def head(self, outputs: Any) -> Any:
        return layers.Activation("linear", dtype="float32", name="number")(outputs)

    def loss(self) -> keras.losses.Loss:
        return number_loss(self.loss_function)

    def metrics(self) -> list[keras.metrics.Metric]:
        scaling = self.target.scaling
        unit = {"center": scaling.center, "scale": scaling.scale, "low": scaling.low, "log": scaling.is_log}
        return number_metrics(self.scores, unit)

    def output_names(self) -> Sequence[str]:
        return []

    def in_unit(self, values: np.ndarray) -> np.ndarray:
        return self.target.decode(values)

    def unit(self) -> str:
        return self.target.unit

    def decode(self, values: np.ndarray) -> list[str]:
        """The numbers in their own unit."""
        return number_texts(np.asarray(values).reshape(-1), self.target.decode)
