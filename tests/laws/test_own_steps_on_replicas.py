"""A model's own steps on replicas: Keras takes them, each replica its share of a batch."""

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


class Shifted(keras.Model):
    """Evaluates against other labels."""

    def test_step(self, data: Any) -> Any:
        x, y = data
        return super().test_step((x, y + 1.0))


class Extra(keras.Model):
    """Logs a value more than its metrics."""

    def test_step(self, data: Any) -> Any:
        return {**super().test_step(data), "extra": tf.constant(3.0)}


KINDS = {"counting": Counting, "taped": Taped, "shifted": Shifted, "extra": Extra}
LOGGED = ("loss", "extra")


@dataclass(frozen=True)
class OwnStep(tk.Task):
    kind: str
    beside: tuple[str, ...] = ()  # splits beside the training rows

    def data(self) -> tk.Splits:
        return tk.Splits(tk.Arrays(X, Y), **{name: tk.Arrays(X[:10], Y[:10]) for name in self.beside})

    def model(self, train: Any) -> keras.Model:
        given = keras.Input((3,))
        return KINDS[self.kind](given, layers.Dense(1)(given))

    def loss(self) -> str:
        return "mse"


def settings(**others: Any) -> Any:
    return {"epochs": 3, "batch_size": 16, "strategy": "mirrored", "replicas": 2, **others}


def on_two(kind: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = OwnStep(kind).model(None)
        model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("kind", ["counting", "taped"])
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
    model = on_two("counting")
    before = model.get_weights()
    with pytest.raises(tk.UserError, match=r"own train_step.*exact=True"):
        tk.fit(model, X, Y, verbose=0)
    np.testing.assert_equal(model.get_weights(), before)
    tk.fit(model, X, Y, verbose=0, exact=True)
    assert not np.array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("kind", ["shifted", "extra"])
def test_an_own_test_step_on_replicas_validates_as_in_keras(kind: str) -> None:
    rows = {"x": X, "y": Y, "batch_size": 8, "validation_data": (X[:10], Y[:10]), "verbose": 0}
    wanted = on_two(kind).fit(**rows, shuffle=False).history
    got = tk.fit(on_two(kind), **rows, shuffle=False).history
    assert set(got) == set(wanted)
    for name in wanted:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5)


@pytest.mark.parametrize(("kind", "split"), [("shifted", "validation"), ("extra", "test")])
def test_an_own_test_step_on_replicas_is_refused_where_rows_are_evaluated(kind: str, split: str) -> None:
    with pytest.raises(tk.UserError, match=r"own test_step.*2 replicas would split it.*engine=keras"):
        tk.Trainer(**settings()).fit(OwnStep(kind, (split,)))


def test_an_own_test_step_hinders_no_training_without_rows_to_evaluate() -> None:
    trainer = tk.Trainer(**{**settings(), "epochs": 1})
    assert set(trainer.fit(OwnStep("extra")).history) == {"loss"}
    with pytest.raises(tk.UserError, match="own test_step"):
        trainer.evaluate(split="train")


def test_keras_evaluates_an_own_test_step_on_replicas() -> None:
    trainer = tk.Trainer(**{**settings(engine="keras"), "epochs": 1})
    history = trainer.fit(OwnStep("extra", ("validation", "test"))).history
    for split in ("validation", "test"):  # of the same rows
        assert trainer.evaluate(split=split) == pytest.approx({n: history[f"val_{n}"][0] for n in LOGGED})


def test_keras_is_not_asked_to_train_on_several_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "strategy_name", lambda strategy: "multi_worker")
    with pytest.raises(tk.UserError, match="engine=keras cannot train on several workers"):
        tk.Trainer(epochs=1, batch_size=16, engine="keras").fit(OwnStep("taped"))
