"""Tiny models and data that the cases share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from tests.conformance.side import Side

__all__ = [
    "BATCH",
    "LABELS",
    "VALIDATION",
    "X",
    "Y",
    "classifier",
    "compiled",
    "dense",
    "fit",
    "labels",
    "numbers",
    "sgd",
]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in float32, the same for the same seed."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels(*shape: int, classes: int = 3, seed: int = 1) -> np.ndarray:
    """Integers below `classes`."""
    return np.random.default_rng(seed).integers(0, classes, size=shape)


# Ten rows in batches of four leave a ragged one, and so do five for validation.
BATCH = 4
X = numbers(10, 3)
Y = numbers(10, 2, seed=1)
LABELS = labels(10)
VALIDATION = (numbers(5, 3, seed=2), numbers(5, 2, seed=3))


def sgd(rate: float = 0.1, **given: Any) -> keras.optimizers.SGD:
    """With momentum, so that the optimizer has a state that can go wrong."""
    return keras.optimizers.SGD(rate, momentum=0.9, **given)


def compiled(model: keras.Model, loss: Any = "mse", optimizer: Any = None, **given: Any) -> keras.Model:
    """`model`, compiled with `sgd()` unless told otherwise."""
    model.compile(sgd() if optimizer is None else optimizer, loss, **given)
    return model


def dense(*extra: keras.layers.Layer, outputs: int = 2, **given: Any) -> keras.Model:
    """Three numbers in, `outputs` numbers out, with `extra` layers after the hidden one."""
    hidden = layers.Dense(4, activation="tanh")
    return compiled(keras.Sequential([keras.Input((3,)), hidden, *extra, layers.Dense(outputs)]), **given)


def classifier(**given: Any) -> keras.Model:
    """Three numbers in, probabilities of three classes out."""
    head = layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), head])
    return compiled(model, **({"loss": "sparse_categorical_crossentropy"} | given))


def fit(side: Side, model: keras.Model, x: Any = X, y: Any = Y, **given: Any) -> keras.callbacks.History:
    """Two epochs in batches of four, unless told otherwise."""
    return side.fit(model, x, y, **({"batch_size": BATCH, "epochs": 2} | given))
