"""Epochs without rows, and rows of unknown rank, train and log as in Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from tests.support.small_batches import X, Y, alike, served, trained

pytestmark = pytest.mark.filterwarnings("ignore:.*ran out of data", "ignore:.*shuffle=True")


def exactly(model: keras.Model, *args: Any, **settings: Any) -> Any:
    return tk.fit(model, *args, exact=True, **settings)


@pytest.mark.parametrize("fit", [tk.fit, exactly])
@pytest.mark.parametrize(("executed", "hooks"), [(1, False), (1, True), (4, False)])
def test_an_epoch_without_rows_logs_metrics_that_begin_anew(fit: Any, executed: int, hooks: bool) -> None:
    def data() -> Any:  # all of it is the first epoch's
        return served([2] * 20)

    wanted, calls = trained(keras.Model.fit, data, executed, hooks, steps_per_epoch=20)
    found, called = trained(fit, data, executed, hooks, steps_per_epoch=20)
    assert wanted[1] == 0.0
    assert called == calls
    alike(found, wanted)


class Named(keras.Sequential):
    """Logs a value that is no metric."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return {"own": super().train_step(data)["loss"]}


def test_an_epoch_without_rows_logs_again_what_an_own_step_returned() -> None:
    def own(fit: Any) -> list[float]:
        keras.utils.set_random_seed(0)
        model = Named([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        history = fit(model, served([2] * 20), epochs=4, steps_per_epoch=20, verbose=0)
        return list(history.history["own"])

    wanted = own(keras.Model.fit)
    assert wanted[0] == wanted[1] != wanted[2]
    np.testing.assert_allclose(own(tk.fit), wanted, rtol=1e-5)


def test_an_early_stopping_counts_an_epoch_without_rows() -> None:
    def epochs(fit: Any) -> list[int]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        stops = keras.callbacks.EarlyStopping("loss", patience=1)
        rows = served([2] * 20)
        return list(fit(model, rows, epochs=6, steps_per_epoch=20, verbose=0, callbacks=[stops]).epoch)

    assert epochs(tk.fit) == epochs(keras.Model.fit) == [0, 1, 2]


class OfAnyRank(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return tf.reduce_mean((tf.reshape(y_true, tf.shape(y_pred)) - y_pred) ** 2, -1)


def test_labels_of_unknown_rank_train() -> None:
    def fitted(fit: Any) -> list[float]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", OfAnyRank())
        rows = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
        rows = rows.map(lambda x, y: (x, tf.numpy_function(lambda one: one, [y], tf.float32)))
        return list(fit(model, rows, epochs=2, verbose=0).history["loss"])

    np.testing.assert_allclose(fitted(tk.fit), fitted(keras.Model.fit), rtol=1e-5)


@pytest.mark.parametrize("executed", [1, 4])
def test_what_a_callback_does_to_the_metrics_of_an_epoch_without_rows_counts(executed: int) -> None:
    class Adds(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.metrics[0].update_state(5.0)

    def losses(fit: Any) -> list[float]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", steps_per_execution=executed)
        rows = served([2] * 20)
        return list(
            fit(model, rows, epochs=3, steps_per_epoch=20, verbose=0, callbacks=[Adds()]).history["loss"]
        )

    wanted = losses(keras.Model.fit)
    assert wanted[1] == 5.0
    np.testing.assert_allclose(losses(tk.fit), wanted, rtol=1e-5)
