"""Boston house prices: a small regression on 13 features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import layers

from trainkit.data import scikit, sources
from trainkit.metrics import Scaled
from trainkit.task import Arrays, Splits, Task


@dataclass(frozen=True)
class Boston(Task):
    """House prices: features [B, 13] float32 -> median value [B, 1], standardised; also reported in thousands of dollars. 64-64-1, Adam 1e-3, MSE.

    Args:
        source, dir: Where the rows come from, see `trainkit.data.sources.boston`.
        validation: Share of the training rows held out. 0: none.
        seed: Of that split; the test rows are always those of `random_state=0`.
        units: Widths of the hidden layers.
    """

    source: str = "auto"
    dir: str | None = None
    validation: float = 0.2
    seed: int = 0
    units: tuple[int, ...] = (64, 64)

    @cached_property
    def _table(self) -> tuple[sources.Table, np.ndarray, np.ndarray, np.ndarray]:
        table = sources.boston(self.source, self.dir)
        rows, test = scikit.split_rows(len(table.x), 0.2, 0)
        kept, held = scikit.split_rows(len(rows), self.validation, self.seed) if self.validation else (np.arange(len(rows)), rows[:0])
        return table, rows[kept], rows[held], test

    @cached_property
    def _scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the training rows' target."""
        table, train, _, _ = self._table
        return float(table.y[train].mean()), float(table.y[train].std())

    def data(self) -> Splits:
        table, *parts = self._table
        mean, deviation = self._scale
        train, validation, test = (Arrays(table.x[rows], (table.y[rows] - mean) / deviation) if len(rows) else None for rows in parts)
        return Splits(train, validation, test, table.source)

    def model(self, train: Arrays) -> keras.Model:
        scale = layers.Normalization(mean=train.x.mean(0), variance=train.x.var(0))
        hidden = [layers.Dense(width, activation="relu") for width in self.units]
        return keras.Sequential([keras.Input(train.x.shape[1:]), scale, *hidden, layers.Dense(1, dtype="float32")])

    def loss(self) -> keras.losses.Loss:
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[Any]:
        square, absolute = keras.metrics.MeanSquaredError, keras.metrics.MeanAbsoluteError
        deviation = self._scale[1]
        return [square(name="mse"), absolute(name="mae"), Scaled(square(), deviation**2, name="mse_kusd"), Scaled(absolute(), deviation, name="mae_kusd")]

    def decode(self, values: np.ndarray) -> list[str]:
        mean, deviation = self._scale
        return [f"{value * deviation + mean:.1f} {self._table[0].unit}".strip() for value in np.asarray(values).reshape(-1)]
