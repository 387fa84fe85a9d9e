"""A task whose network draws random numbers in each step: between layers, and within and between the steps of
its sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task

__all__ = ["Lstm"]


@dataclass(frozen=True)
class Lstm(Task):
    """Whether the sum of a sequence is positive: [B, 12, 4] -> [B, 2]."""

    units: int = 16

    def data(self) -> Splits:
        x = np.random.default_rng(0).normal(size=(640, 12, 4)).astype(np.float32)
        y = (x.sum((1, 2)) > 0).astype(np.int32)
        parts = [Arrays(x[rows], y[rows]) for rows in (slice(512), slice(512, 576), slice(576, 640))]
        return Splits(*parts)

    def model(self, train: Arrays) -> keras.Model:
        recurrent = keras.layers.LSTM(self.units, dropout=0.2, recurrent_dropout=0.2)
        head = [keras.layers.Dropout(0.3), keras.layers.Dense(2, "softmax")]
        return keras.Sequential([keras.Input((12, 4)), recurrent, *head])

    def loss(self) -> Any:
        return "sparse_categorical_crossentropy"
