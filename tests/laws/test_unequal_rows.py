"""Tensors of one batch with different numbers of rows: they train as in `model.fit`, or are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import trainkit as tk

X = np.random.default_rng(0).random((36, 3)).astype("float32")
Y = np.random.default_rng(1).random(36).astype("float32")
MANY, FEW = 6, 2  # rows of a batch, without labels and with
Data = Callable[[], Any]


class Own(keras.Model):
    """Trains by a step of its own, which logs what `objective` says."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)
        self.dense.build((None, 3))
        self.mean = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.mean]

    def objective(self, data: Any) -> Any:
        (u, _), (x, y) = data
        return ops.mean((self.dense(x) - y[:, None]) ** 2) + 0.1 * ops.mean(self.dense(u) ** 2)

    def train_step(self, data: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = self.objective(data)
        weights = self.dense.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def test_step(self, data: Any) -> Any:
        self.mean.update_state(self.objective(data))
        return {"loss": self.mean.result()}


class Scalar(Own):
    """Divides by a number that comes with each batch, if it is above zero."""

    def objective(self, data: Any) -> Any:
        (scale, x), y = data
        scale = tf.cond(scale > 0, lambda: scale, lambda: 1.0)
        return ops.mean((self.dense(x) / scale - y[:, None]) ** 2)


class Lone(Own):
    """Asks for the tuple around lone rows, and for their number."""

    def objective(self, data: Any) -> Any:
        x = data[0]
        return ops.mean(self.dense(x) ** 2) / x.shape[0]


class Call(keras.Model):
    """Has no step of its own; one row, of many, goes with all others."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs["x"] * inputs["a"]) + ops.mean(self.dense(inputs["u"]))


def sliced(*arrays: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(arrays)


def zipped(many: int = 36, few: int = 12, **settings: Any) -> tf.data.Dataset:
    """Six batches; the last one is ragged on either side, if asked."""
    parts = [sliced(X[:n], Y[:n]).batch(size, **settings) for n, size in ((many, MANY), (few, FEW))]
    return tf.data.Dataset.zip(tuple(parts))


class Rows(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        parts = [slice(index * size, index * size + size) for size in (MANY, FEW)]
        return tuple((X[part], Y[part]) for part in parts)


def endless() -> Iterator[Any]:
    rows = Rows()
    while True:
        yield from (rows[index] for index in range(len(rows)))


def with_scalar() -> tf.data.Dataset:
    return sliced(X, Y).batch(5).map(lambda x, y: ((tf.reduce_mean(x), x), y))


def one_and_many() -> tf.data.Dataset:
    def named(many: Any, few: Any) -> Any:
        return {"u": many[0], "x": few[0], "a": few[0][:1]}, tf.cast(3 * few[1], tf.int32)[:, None]

    return zipped(34, 12).map(named)


def trained(fit: Any, make: Callable[[], keras.Model], data: Data, **settings: Any) -> list[Any]:
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("sgd", "mse", steps_per_execution=settings.pop("executed", 1))
    if "validation_data" in settings:
        settings["validation_data"] = settings["validation_data"]()
    history = fit(model, data(), epochs=2, verbose=0, **settings).history
    return [*(history[name] for name in sorted(history)), *model.get_weights()]


HOOK = [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]


@pytest.mark.filterwarnings("ignore:.*shuffle=True")
@pytest.mark.parametrize(
    ("make", "data", "settings"),
    [
        (Own, zipped, {}),
        (Own, lambda: zipped().map(lambda many, few: (few, many)), {}),
        (Own, lambda: zipped(34, 11), {"callbacks": HOOK, "executed": 4}),
        (Own, lambda: zipped(drop_remainder=True), {"validation_data": lambda: zipped(34, 11)}),
        (Own, lambda: zipped(34, 11).repeat(), {"steps_per_epoch": 8}),
        (Own, Rows, {}),
        (Own, endless, {"steps_per_epoch": 6}),
        (Scalar, with_scalar, {"validation_data": with_scalar}),
        (Lone, lambda: sliced(X).batch(6, drop_remainder=True), {}),
        (Call, one_and_many, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
    ],
    ids=["more", "fewer", "ragged", "static", "repeated", "PyDataset", "generator", "scalar", "lone", "call"],
)
def test_tensors_of_a_batch_keep_their_own_numbers_of_rows(
    make: Callable[[], keras.Model], data: Data, settings: dict[str, Any]
) -> None:
    wanted = trained(keras.Model.fit, make, data, **settings)
    for got, value in zip(trained(tk.fit, make, data, **settings), wanted, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-6)


def on_two() -> keras.Model:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        return Call()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (with_scalar, r"\[\(\), \(None,\), \(None,\)\] rows.*repeat the number"),
        (
            lambda: zipped(drop_remainder=True),
            r"different numbers of rows, \[\(6,\), \(6,\), \(2,\), \(2,\)\]",
        ),
    ],
    ids=["scalar", "static"],
)
def test_rows_that_are_seen_to_be_unequal_are_not_divided_over_replicas(data: Data, words: str) -> None:
    def opened(*_: Any) -> Any:
        raise AssertionError("a training began")

    callback = keras.callbacks.LambdaCallback(on_train_begin=opened)
    with pytest.raises(tk.UserError, match=words):
        trained(tk.fit, on_two, data, callbacks=[callback])


def test_unequal_rows_are_not_divided_over_replicas() -> None:
    with pytest.raises(tk.UserError, match=r"different numbers of rows, \[\(1,\), \(6,\), \(2,\), \(2,\)\]"):
        trained(tk.fit, on_two, one_and_many)


@dataclass(frozen=True)
class Unequal(tk.Task):
    def data(self) -> tk.Splits:
        return tk.Splits(zipped())

    def model(self, train: Any) -> keras.Model:
        return Own()

    def loss(self) -> None:
        return None


def test_a_task_refuses_unequal_rows_which_it_cannot_cut_anew() -> None:
    with pytest.raises(tk.UserError, match=r"tensors of \[6, 6, 2, 2\] rows.*trainkit\.fit\(model, dataset"):
        tk.Trainer(epochs=1, batch_size=4).fit(Unequal())
