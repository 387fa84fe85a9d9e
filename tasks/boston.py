"""House prices by a small dense network: regression with standardised features and target.

Data: D. Harrison, D. L. Rubinfeld: Hedonic housing prices and the demand for clean air. Journal of
Environmental Economics and Management 5, 1978; 506 suburbs of Boston with 13 features. One of them, `B`,
encodes the share of Black residents: the set is for comparing trainings, not for judging houses.

Recipe: two hidden layers of 64 units, after F. Chollet: Deep Learning with Python, with Adam.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np

from trainkit.config import validate_task
from trainkit.config.fields import setting
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.data.sources.keras_datasets import BOSTON, load
from trainkit.data.splits import holdout
from trainkit.metrics.units import InUnits

__all__ = ["Boston"]


@dataclass(frozen=True)
class Boston(Task):
    """House prices: features `[B, 13]` float32 to the standardised median price `[B, 1]`.

    Args:
        units: Units of each hidden layer.
        dropout: Share of the units that each hidden layer drops, from 0 to less than 1; at 0 there are no
            dropout layers.
        source: `boston`, `embedded` (diabetes, which scikit-learn ships), or `auto`: the first that is there.
        dir: Folder with `boston_housing.npz`; None: Keras's cache, then a download.
        validation: Share of the training rows held out for validation.
        seed: Of the validation split; the test rows are always the same.
    """

    units: tuple[int, ...] = setting((64, 64), "hidden layers", at_least=1, example="[64,64]")
    dropout: float = setting(
        0.0, "rate after each hidden layer; at 0 there are no such layers", at_least=0, below=1
    )
    source: str = "auto"
    dir: str | None = None
    validation: float = 0.2
    seed: int = setting(0, "seed of the validation split; the test rows are always the same", at_least=0)

    def __post_init__(self) -> None:
        validate_task(self)

    @cached_property
    def prices(self) -> Splits:
        """The rows with the target in thousands of dollars."""
        rows, source = load(BOSTON, self.source, self.dir)
        all_rows = Arrays(rows["x"].astype(np.float32), rows["y"].astype(np.float32)[:, None])
        train, test = holdout(all_rows, 0.2, seed=0)
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
        inputs = keras.Input(train.x.shape[1:])
        scale = keras.layers.Normalization(mean=train.x.mean(0), variance=train.x.var(0), dtype="float32")
        hidden: list[keras.Layer] = []
        for units in self.units:
            hidden.append(keras.layers.Dense(units, activation="relu"))
            if self.dropout:
                hidden.append(keras.layers.Dropout(self.dropout))
        return keras.Sequential([inputs, scale, *hidden, keras.layers.Dense(1, dtype="float32")])

    def loss(self) -> keras.losses.Loss:
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        _, std = self.scale
        return [
            keras.metrics.MeanSquaredError("mse"),
            keras.metrics.MeanAbsoluteError("mae"),
            InUnits(keras.losses.mean_squared_error, std, "mse_kusd"),
            InUnits(keras.losses.mean_absolute_error, std, "mae_kusd"),
        ]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3)

    def decode(self, values: np.ndarray) -> list[str]:
        mean, std = self.scale
        unit = "" if self.prices.source.substitute_for else " k$"
        return [f"{value * std + mean:.1f}{unit}" for value in np.asarray(values).reshape(-1)]
