"""Whatever number of a layer differs between two trainings, the second is what it is alone, also where both
share a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import constraints, layers, regularizers

from tests.support.toys import Toy, rows
from trainkit.config import TrainerConfig
from trainkit.trainer.program_pool import ProgramPool
from trainkit.trainer.trainer import Trainer

CONFIG = TrainerConfig(epochs=1, batch_size=16, execution="epoch")
L1, L2 = regularizers.L1, regularizers.L2


def series(*inner: Any) -> list[Any]:
    """Layers of sequences on rows `[B, 6]`."""
    return [layers.Reshape((6, 1)), *inner, layers.Flatten()]


def adapted(layer: Any, v: float) -> Any:
    layer.adapt(rows(64)[0] * v + v)
    return layer


def frozen(v: float) -> Any:
    layer = layers.Dense(6, trainable=False)
    layer.build((None, 6))
    layer.set_weights([np.eye(6) * v, np.zeros(6)])
    return layer


def by_variable(v: float) -> Any:
    layer = layers.Dense(6)
    layer.build((None, 6))
    layer.kernel.regularizer = L2(v / 5)
    return layer


def set_later(v: float) -> Any:
    layer = layers.Dropout(0.1)
    layer.rate = v / 3
    return layer


def multiplied(v: float) -> Any:
    x = keras.Input((6,))
    return keras.Model(x, x * (v * np.arange(1, 7, dtype="float32")))


def attention(v: float) -> Any:
    x = keras.Input((6, 1))
    inner = layers.MultiHeadAttention(2, 3, dropout=v / 5, kernel_regularizer=L2(v / 10))
    return keras.Model(x, inner(x, x))


def cells(v: float) -> Any:
    inner = [layers.GRUCell(3, recurrent_regularizer=L2(v / 9)), layers.SimpleRNNCell(2)]
    return layers.RNN(layers.StackedRNNCells(inner), return_sequences=True)


def dense(**settings: Any) -> list[Any]:
    return [layers.Dense(6, **settings)]


KINDS: dict[str, Callable[[float], list[Any]]] = {
    "dropout": lambda v: [layers.Dropout(v / 3)],
    "a rate that was set later": lambda v: [set_later(v)],
    "noise": lambda v: [layers.GaussianNoise(v / 3)],
    "alpha dropout": lambda v: [layers.AlphaDropout(v / 4)],
    "slope": lambda v: dense(activation=layers.LeakyReLU(negative_slope=v / 3)),
    "limit": lambda v: [layers.ReLU(max_value=v)],
    "rescaling": lambda v: [layers.Rescaling(v, offset=v / 2)],
    "batch normalization": lambda v: [layers.BatchNormalization(momentum=v / 3, epsilon=v / 50)],
    "its regularizer": lambda v: [layers.BatchNormalization(gamma_regularizer=L2(v / 5))],
    "its constraint": lambda v: [layers.BatchNormalization(beta_constraint=constraints.MaxNorm(v / 200))],
    "L1 and L2": lambda v: dense(kernel_regularizer=regularizers.L1L2(v / 50, v / 30)),
    "orthogonal": lambda v: dense(kernel_regularizer=regularizers.OrthogonalRegularizer(v / 20)),
    "max norm": lambda v: dense(kernel_constraint=constraints.MaxNorm(v / 4)),
    "start": lambda v: dense(bias_initializer=keras.initializers.Constant(v)),
    "activity": lambda v: [layers.ActivityRegularization(l1=v / 50, l2=v / 40)],
    "regularizer of a variable": lambda v: [by_variable(v)],
    "frozen": lambda v: [frozen(v)],
    "constants of an operation": lambda v: [multiplied(v)],
    "adapted": lambda v: [adapted(layers.Normalization(), v)],
    "adapted, one number": lambda v: [adapted(layers.Normalization(axis=None), v)],
    "adapted, inverted": lambda v: [adapted(layers.Normalization(invert=True), v)],
    "adapted, in a model": lambda v: [
        keras.Sequential([keras.Input((6,)), adapted(layers.Normalization(), v)])
    ],
    "bins and their table": lambda v: [
        adapted(layers.Discretization(num_bins=3), v),
        layers.Embedding(4, 2, embeddings_regularizer=L1(v / 100)),
        layers.Flatten(),
    ],
    "GRU": lambda v: series(layers.GRU(4, dropout=v / 5, recurrent_regularizer=L2(v / 20))),
    "both directions": lambda v: series(
        layers.Bidirectional(layers.LSTM(3, kernel_regularizer=L2(v / 10), recurrent_regularizer=L1(v / 50)))
    ),
    "cells": lambda v: series(cells(v)),
    "attention": lambda v: series(attention(v)),
    "separable": lambda v: series(layers.SeparableConv1D(3, 2, depthwise_regularizer=L2(v / 10))),
    "each step": lambda v: series(layers.TimeDistributed(layers.Dense(2, kernel_regularizer=L2(v / 6)))),
    "spectral": lambda v: [layers.SpectralNormalization(layers.Dense(6), power_iterations=int(v * 2))],
}


@dataclass(frozen=True)
class Of(Toy):
    """A model with layers of one kind."""

    kind: str = ""
    v: float = 1.0

    def model(self, train: Any) -> keras.Model:
        head = layers.Dense(3, activation="softmax")
        return keras.Sequential([keras.Input((6,)), *KINDS[self.kind](self.v), layers.Flatten(), head])


def trained(task: Of, pool: ProgramPool | None = None) -> tuple[list[float], list[np.ndarray], np.ndarray]:
    """Values of the epoch, weights, and predictions."""
    trainer = Trainer(CONFIG)
    trainer.prepare(task, **({} if pool is None else {"by": pool.setup}))
    history = trainer.fit(trainer.setup.task).history
    values = [history[name][-1] for name in ("loss", "accuracy", "val_loss")]
    return values, trainer.model.get_weights(), trainer.predict(rows(20)[0])


@pytest.mark.in_parts(8)
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_of_a_layer_is_that_of_each_training(kind: str) -> None:
    alone = trained(Of(n=64, kind=kind, v=2.0))
    for constants in (True, False):
        pool = ProgramPool(constants=constants)
        first = trained(Of(n=64, kind=kind, v=0.5), pool)
        second = trained(Of(n=64, kind=kind, v=2.0), pool)
        assert second[0] != first[0]
        for a, b in zip(keras.tree.flatten(second), keras.tree.flatten(alone), strict=True):
            np.testing.assert_allclose(a, b, rtol=0 if constants else 3e-5, atol=0 if constants else 1e-5)
