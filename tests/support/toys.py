"""Tiny tasks for the laws: a few hundred rows, a few dozen weights, every feature that can go wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task


def rows(n: int, features: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)).astype(np.float32)
    return x, (x @ rng.normal(size=(features, 3)) + 0.3 * rng.normal(size=(n, 3))).argmax(1)


@dataclass(frozen=True)
class Toy(Task):
    """Three classes from 6 features, in 75, 21 and 19 rows: batches of 16 leave a ragged one."""

    dropout: float = 0.0
    batch_norm: bool = False
    l2: float = 0.0
    n: int = 75

    def data(self) -> Splits:
        x, y = rows(self.n + 40)
        a = Arrays(x, y)
        return Splits(
            a.take(slice(0, self.n)), a.take(slice(self.n, self.n + 21)), a.take(slice(self.n + 21, None))
        )

    def model(self, train: Arrays) -> keras.Model:
        model = keras.Sequential([keras.Input((6,))])
        model.add(
            layers.Dense(
                8, activation="relu", kernel_regularizer=keras.regularizers.L2(self.l2) if self.l2 else None
            )
        )
        if self.batch_norm:
            model.add(layers.BatchNormalization())
        if self.dropout:
            model.add(layers.Dropout(self.dropout))
        model.add(layers.Dense(3, activation="softmax", dtype="float32"))
        return model

    def loss(self) -> Any:
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[Any]:
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(0.01)


@dataclass(frozen=True)
class Weighted(Toy):
    """With a weight for every row."""

    def data(self) -> Splits:
        splits = super().data()
        weights = np.random.default_rng(1).uniform(0.2, 2.0, self.n).astype(np.float32)
        return replace(splits, train=replace(splits.train, weight=weights))


def focal(y: Any, p: Any) -> Any:
    y = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y, (-1,)), "int32"), 3)
    p = keras.ops.sum(y * keras.ops.clip(p, 1e-7, 1.0), -1)
    return -((1 - p) ** 1.5) * keras.ops.log(p)


@dataclass(frozen=True)
class WeightedFocal(Weighted):
    """A loss whose gradient is a product that TensorFlow reorders where it knows that all sizes are equal."""

    def loss(self) -> Any:
        return focal


@dataclass(frozen=True)
class ClassWeighted(Toy):
    def class_weight(self) -> dict[int, float]:
        return {0: 0.5, 1: 1.0, 2: 3.0}


@dataclass(frozen=True)
class Auc(Toy):
    """Two classes and a metric with state."""

    def data(self) -> Splits:
        splits = super().data()
        parts = {name: getattr(splits, name) for name in ("train", "validation", "test")}
        return Splits(
            **{name: Arrays(a.x, (a.y > 0).astype(np.float32)[:, None]) for name, a in parts.items()}
        )

    def model(self, train: Arrays) -> keras.Model:
        return keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8, activation="tanh"),
                layers.Dense(1, activation="sigmoid", dtype="float32"),
            ]
        )

    def loss(self) -> Any:
        return keras.losses.BinaryCrossentropy()

    def metrics(self) -> list[Any]:
        return [keras.metrics.AUC(name="auc"), keras.metrics.Precision(name="precision")]


@dataclass(frozen=True)
class TwoByTwo(Toy):
    """Two inputs and two outputs, each with its loss, its weight and its metric."""

    def data(self) -> Splits:
        splits = super().data()

        def both(a: Arrays) -> Arrays:
            x = {"left": a.x[:, :3], "right": a.x[:, 3:]}
            return Arrays(x, {"kind": a.y, "size": a.x[:, :1] * 2})

        return Splits(both(splits.train), both(splits.validation), both(splits.test))

    def model(self, train: Arrays) -> keras.Model:
        left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
        hidden = layers.Dense(8, activation="relu")(layers.Concatenate()([left, right]))
        kind = layers.Dense(3, activation="softmax", dtype="float32", name="kind")(hidden)
        size = layers.Dense(1, dtype="float32", name="size")(hidden)
        return keras.Model({"left": left, "right": right}, {"kind": kind, "size": size})

    def loss(self) -> Any:
        return {"kind": keras.losses.SparseCategoricalCrossentropy(), "size": keras.losses.MeanSquaredError()}

    def loss_weights(self) -> Any:
        return {"kind": 1.0, "size": 0.3}

    def metrics(self) -> Any:
        return {
            "kind": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            "size": [keras.metrics.MeanAbsoluteError(name="mae")],
        }


@dataclass(frozen=True)
class AddLoss(Toy):
    """A layer that adds a loss of its own."""

    def model(self, train: Arrays) -> keras.Model:
        inputs = keras.Input((6,))
        x = layers.Dense(8, activation="relu")(inputs)
        x = layers.ActivityRegularization(l2=1e-3)(x)
        return keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float32")(x))


@dataclass(frozen=True)
class Custom(Toy):
    """An objective of its own: cross-entropy that is the same for small noise on the rows."""

    def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
        x, y = batch
        outputs = model(x, training=training)
        nearby = model(x + 0.01, training=training)
        cross = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs))
        return cross + 0.1 * tf.reduce_mean(tf.square(outputs - nearby)), outputs
