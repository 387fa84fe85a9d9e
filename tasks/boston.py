"""House prices by a small dense network: regression with features and target standardised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.data.sources.keras_datasets import BOSTON, load
from trainkit.data.splits import holdout
from trainkit.metrics.units import InUnits


@dataclass(frozen=True)
class Boston(Task):
    """House prices: features [B, 13] float32 -> median value [B, 1], standardised; reported in thousands of dollars."""

    units: tuple[int, ...] = (64, 64)
    source: str = "auto"  # auto | boston | embedded
    dir: str | None = None  # folder with boston_housing.npz
    validation: float = 0.2  # share of the training rows
    seed: int = 0  # of the validation split; the test rows are always the same

    @cached_property
    def prices(self) -> Splits:
        """The rows with the target in thousands of dollars."""
        rows, source = load(BOSTON, self.source, self.dir)
        train, test = holdout(
            Arrays(rows["x"].astype(np.float32), rows["y"].astype(np.float32)[:, None]), 0.2, seed=0
        )
        train, validation = holdout(train, self.validation, self.seed)
        return Splits(train, validation, test, source)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the training rows' target, in thousands of dollars."""
        return float(self.prices.train.y.mean()), float(self.prices.train.y.std())

    def data(self) -> Splits:
        mean, std = self.scale
        parts = (self.prices.train, self.prices.validation, self.prices.test)
        train, validation, test = (part and replace(part, y=(part.y - mean) / std) for part in parts)
        return Splits(train, validation, test, self.prices.source)

    def model(self, train: Arrays) -> keras.Model:
        scale = keras.layers.Normalization(mean=train.x.mean(0), variance=train.x.var(0), dtype="float32")
        dense = [keras.layers.Dense(units, activation="relu") for units in self.units]
        return keras.Sequential(
            [keras.Input(train.x.shape[1:]), scale, *dense, keras.layers.Dense(1, dtype="float32")]
        )

    def loss(self) -> keras.losses.Loss:
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        squared, absolute, std = (
            keras.losses.mean_squared_error,
            keras.losses.mean_absolute_error,
            self.scale[1],
        )
        standardised = [keras.metrics.MeanSquaredError("mse"), keras.metrics.MeanAbsoluteError("mae")]
        return [*standardised, InUnits(squared, std, "mse_kusd"), InUnits(absolute, std, "mae_kusd")]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3)

    def decode(self, values: np.ndarray) -> list[str]:
        mean, std = self.scale
        unit = "" if self.prices.source.substitute_for else " k$"
        return [f"{value * std + mean:.1f}{unit}" for value in np.asarray(values).reshape(-1)]
