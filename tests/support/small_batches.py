"""Small batches of many sizes, and a training of them that notes what its callbacks see."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

RNG = np.random.default_rng(0)
X = RNG.random((47, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)
SIZES = [2] * 9 + [1, 2, 2, 2, 1, 1] + [2] * 8  # of batches, 23 in all

Data = Callable[[], Any]


def sliced() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y))


def served(sizes: list[int] = SIZES, fails: int | None = None) -> Iterator[Any]:
    begin = 0
    for number, size in enumerate(sizes):
        if number == fails:
            raise OSError("no such batch")
        yield X[begin : begin + size], Y[begin : begin + size]
        begin += size


def generated(fails: int | None = None, sizes: list[int] = SIZES) -> tf.data.Dataset:
    spec = (tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([None, 1], tf.float32))
    return tf.data.Dataset.from_generator(lambda: served(sizes, fails), output_signature=spec)


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Without the thread that tunes a pipeline: who lets an iterator go may wait a minute for its end."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


class Seen(keras.callbacks.Callback):
    """Notes its calls, and does something at the end of one execution of each epoch."""

    def __init__(self, at: int, does: Callable[[Any], None]) -> None:
        super().__init__()
        self.at, self.does = at, does
        self.calls: list[Any] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("end", batch, pytest.approx(logs["loss"], rel=1e-4)))
        if batch == self.at:
            self.does(self)


def trained(
    fit: Any,
    data: Data,
    executed: int,
    hooks: bool,
    *,
    fails: bool = False,
    at: int = -1,
    does: Callable[[Any], None] = lambda callback: None,
    **settings: Any,
) -> tuple[list[Any], list[Any]]:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse", steps_per_execution=executed)
    seen = Seen(at, does)
    callbacks = [seen] if hooks else []
    values: list[Any] = []
    with pytest.raises(tf.errors.OpError) if fails else contextlib.nullcontext():
        values += fit(model, data(), epochs=2, verbose=0, callbacks=callbacks, **settings).history["loss"]
    return [*values, *model.get_weights()], seen.calls


def alike(found: list[Any], wanted: list[Any]) -> None:
    assert len(found) == len(wanted)
    for got, value in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-6)
