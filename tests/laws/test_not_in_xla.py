"""What would end XLA's process is trained, measured and predicted without it, also where XLA is asked for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import trainkit as tk
from trainkit.config import TrainerConfig
from trainkit.trainer import execution
from trainkit.trainer.trainer import Trainer

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(10, 2)).astype("float32")
TEXTS = np.array(["a b", "b", "c a", "a", "b c", "c", "a a", "b b", "c c", "a c"])


class PerRow(layers.Layer):
    """Goes over the rows one by one, and reads a variable."""

    def __init__(self, *, in_a_function: bool) -> None:
        super().__init__()
        self.over_rows = tf.function(self._over_rows, autograph=False) if in_a_function else self._over_rows

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return self.over_rows(inputs)

    def _over_rows(self, inputs: Any) -> Any:
        return tf.map_fn(lambda row: row * self.factor, inputs)


@pytest.mark.parametrize("in_a_function", [False, True])
def test_loops_over_the_rows_are_not_put_into_xla_where_that_ends_the_process(in_a_function: bool) -> None:
    """Where a step does not know how many rows it has."""

    def trained(fit: Any, rows: int, **options: Any) -> Any:
        keras.utils.set_random_seed(0)
        own = [layers.Dense(4), PerRow(in_a_function=in_a_function), layers.Dense(2)]
        model = keras.Sequential([keras.Input((3,)), *own])
        model.compile("sgd", "mse", jit_compile=False)
        known = {"batch_size": 4, "shuffle": False, "verbose": 0}
        return fit(model, X[:rows], Y[:rows], **known, **options).history["loss"]

    with pytest.warns(UserWarning, match="XLA cannot compile a loop over rows"):
        found = trained(tk.fit, 6, execution="epoch_xla")
    np.testing.assert_allclose(found, trained(keras.Model.fit, 6), rtol=1e-5)


@pytest.mark.parametrize("how", ["auto", "measure"])
def test_nor_are_they_where_xla_would_pay(how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small recurrent layer has XLA go over loops; to measure it is to use it."""
    monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.0)
    monkeypatch.setattr(execution, "RECURRENT_COMPILE_SECONDS", 0.0)
    own = [layers.SimpleRNN(4), PerRow(in_a_function=False), layers.Dense(2)]
    model = keras.Sequential([keras.Input((2, 3)), *own])
    model.compile("sgd", "mse", jit_compile=False)
    rows = np.repeat(X[:6, None], 2, 1)
    found = tk.fit(model, rows, Y[:6], batch_size=4, verbose=0, execution=how)
    assert np.isfinite(found.history["loss"]).all()


class Texts(tk.Task):
    """Rows of texts."""

    def data(self) -> tk.Splits:
        return tk.Splits(tk.Arrays(TEXTS, Y), tk.Arrays(TEXTS[:6], Y[:6]))

    def model(self, train: Any) -> keras.Model:
        texts = layers.TextVectorization(output_sequence_length=3)
        texts.adapt(["a b c"])
        inner = [layers.Embedding(6, 2), layers.Flatten(), layers.Dense(2)]
        return keras.Sequential([keras.Input((), dtype="string"), texts, *inner])

    def loss(self) -> Any:
        return "mse"


def test_texts_are_measured_and_predicted_by_who_has_not_trained_them() -> None:
    trainer = Trainer(TrainerConfig(epochs=1, batch_size=4, execution="epoch_xla"))
    trainer.prepare(Texts())
    assert trainer.predict(TEXTS).shape == (10, 2)
    assert trainer.evaluate(split="validation")["loss"] > 0
    with pytest.warns(UserWarning, match="XLA cannot compile .*; the training goes on without"):
        trainer.fit(trainer.setup.task)
    assert trainer.execution == "epoch"
