"""The task of an estimator: rows that are given to `fit`, and a model for them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task

__all__ = ["RowsTask", "dense_network", "statistics"]

# Standard deviations that `Normalization` divides by in float32: it takes smaller ones for its epsilon.
NORMALIZED = (1e-6, 1e18)


@dataclass(frozen=True, eq=False)
class RowsTask(Task):
    """A task around a function that builds the model.

    Args:
        build: Makes the model, fresh at each call.
        default_loss: The loss of a model that is not compiled.
        default_optimizer: Makes the optimizer of a model that is not compiled.
    """

    build: Callable[[], keras.Model]
    default_loss: Any
    default_optimizer: Callable[[], keras.optimizers.Optimizer]

    def data(self) -> Splits:
        raise NotImplementedError("The rows of an estimator come with fit.")

    def model(self, train: Arrays) -> keras.Model:
        made = self.build()
        if not isinstance(made, keras.Model):
            raise UserError(f"model() returned {type(made).__name__}; expected a keras.Model.")
        return made

    def loss(self) -> Any:
        return self._compiled("loss", self.default_loss)

    def optimizer(self) -> keras.optimizers.Optimizer:
        made = self._compiled("optimizer", None)
        return self.default_optimizer() if made is None else made

    def _compiled(self, name: str, default: Any) -> Any:
        """What the user compiled the model with, if so."""
        return getattr(self.build(), name) if self._is_compiled else default

    @functools.cached_property
    def _is_compiled(self) -> bool:
        """Whether the user compiles the model. To build it takes most of the time of a small fit."""
        return bool(getattr(self.build(), "compiled", False))


def dense_network(
    x: np.ndarray,
    weight: np.ndarray | None,
    units: tuple[int, ...],
    dropout: float,
    outputs: int,
    activation: str | None,
) -> Callable[[], keras.Model]:
    """A function that builds a dense network which standardises its inputs by the training rows.

    Its first and its last layer compute in float32 whatever the precision of the others is.
    """
    mean, variance = statistics(x, weight)
    scale = powers_of_two(np.sqrt(variance))

    def build() -> keras.Model:
        parts: list[Any] = [keras.Input(x.shape[1:])]
        if x.ndim > 2:
            parts.append(layers.Flatten())
        if np.any(scale != 1):
            parts.append(layers.Rescaling(scale, dtype="float32"))
        normalization = layers.Normalization(mean=mean * scale, variance=variance * scale**2, dtype="float32")
        parts.append(normalization)
        for width in units:
            parts.append(layers.Dense(width, activation="relu"))
            if dropout:
                parts.append(layers.Dropout(dropout))
        return keras.Sequential([*parts, layers.Dense(outputs, activation=activation, dtype="float32")])

    return build


def statistics(values: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each column `[K]`, weighted; a column that does not vary has variance 1.

    It does not vary if its standard deviation is within the rounding of its own values, however small these
    are.
    """
    rounding = max(1e-12, float(np.finfo(values.dtype).eps))
    flat = values.reshape(len(values), -1).astype(np.float64)
    mean = np.average(flat, axis=0, weights=weight)
    variance = np.average((flat - mean) ** 2, axis=0, weights=weight)
    return mean, np.where(np.sqrt(variance) > rounding * np.abs(mean), variance, 1.0)


def powers_of_two(deviation: np.ndarray) -> np.ndarray:
    """What brings columns of such a standard deviation `[K]` near 1 without rounding; 1 where
    `Normalization` needs no help."""
    least, most = NORMALIZED
    exponent = np.clip(-np.round(np.log2(deviation)), -126, 126)
    return np.where((deviation < least) | (deviation > most), 2.0**exponent, 1.0)
