"""A model's own `train_step` on replicas: Keras trains it, each replica its share of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import trainkit as tk
from trainkit.trainer import assembly

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Counting(keras.Model):
    """Counts its steps, and trains as Keras does."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

    def train_step(self, data: Any) -> Any:
        self.seen.assign_add(1.0)
        return super().train_step(data)


class Taped(keras.Model):
    """Trains by a tape of its own."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


KINDS = {"counting": Counting, "taped": Taped}


@dataclass(frozen=True)
class OwnStep(tk.Task):
    kind: str

    def data(self) -> tk.Splits:
        return tk.Splits(tk.Arrays(X, Y))

    def model(self, train: Any) -> keras.Model:
        given = keras.Input((3,))
        return KINDS[self.kind](given, layers.Dense(1)(given))

    def loss(self) -> str:
        return "mse"


def settings(**others: Any) -> Any:
    return {"epochs": 3, "batch_size": 16, "strategy": "mirrored", "replicas": 2, **others}


@pytest.mark.parametrize("kind", KINDS)
def test_an_own_step_trains_on_replicas_by_keras(kind: str) -> None:
    trainer = tk.Trainer(**settings(engine="keras"), optimizer="sgd")
    trainer.fit(OwnStep(kind))
    rate = float(keras.ops.convert_to_numpy(trainer.model.optimizer.learning_rate))
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        keras.utils.set_random_seed(trainer.config.seed)
        model = OwnStep(kind).model(None)
        model.compile(keras.optimizers.SGD(rate), "mse")
    model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
    for got, wanted in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_an_own_step_on_replicas_is_refused_with_what_trains_it() -> None:
    with pytest.raises(tk.UserError, match=r"own train_step.*2 replicas would split it.*engine=keras"):
        tk.Trainer(**settings()).fit(OwnStep("counting"))
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = OwnStep("counting").model(None)
        model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.raises(tk.UserError, match=r"own train_step.*exact=True"):
        tk.fit(model, X, Y, verbose=0)
    np.testing.assert_equal(model.get_weights(), before)
    tk.fit(model, X, Y, verbose=0, exact=True)
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_keras_is_not_asked_to_train_on_several_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "strategy_name", lambda strategy: "multi_worker")
    with pytest.raises(tk.UserError, match="engine=keras cannot train on several workers"):
        tk.Trainer(epochs=1, batch_size=16, engine="keras").fit(OwnStep("taped"))
