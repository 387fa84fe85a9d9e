"""What `trainkit.fit` leaves and refuses is what Keras leaves and refuses, in the default mode too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import trainkit as tk

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(10, 2)).astype("float32")


def dense(optimizer: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    model.compile(optimizer, "mse")
    return model


def test_a_training_inside_of_a_callback_leaves_the_rows_of_the_outer_one() -> None:
    class Inside(keras.callbacks.Callback):
        def __init__(self, fit: Callable[..., Any], settings: dict[str, Any]) -> None:
            super().__init__()
            self.fit, self.settings = fit, settings

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.fit(self.model, X[:4], Y[:4], verbose=0, shuffle=False, **self.settings)

    def losses(fit: Callable[..., Any], settings: dict[str, Any]) -> list[float]:
        keras.utils.set_random_seed(0)
        inside = Inside(fit, settings)
        history = fit(
            dense("sgd"), X, Y, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y), callbacks=[inside]
        ).history
        return [*history["loss"], *history["val_loss"]]

    for settings in ({}, {"validation_data": (5 * X, Y)}):
        np.testing.assert_allclose(losses(tk.fit, settings), losses(keras.Model.fit, settings), rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["nadam", "adafactor", "scaled"])
def test_the_variables_of_an_optimizer_have_keras_s_names(optimizer: str) -> None:
    def paths(fit: Callable[..., Any]) -> list[str]:
        keras.backend.clear_session()
        inner = "adam" if optimizer == "scaled" else optimizer
        made = keras.optimizers.get(inner)
        model = dense(keras.optimizers.LossScaleOptimizer(made) if optimizer == "scaled" else made)
        fit(model, X, Y, verbose=0)
        return [variable.path for variable in model.optimizer.variables]

    assert paths(tk.fit) == paths(keras.Model.fit)


def test_rows_left_out_are_refused_in_one_line() -> None:
    with pytest.raises(tk.UserError, match=r"^x is None: give the rows to train on") as raised:
        tk.fit(dense("sgd"), None, Y, verbose=0)
    assert "\n" not in str(raised.value)


def test_a_number_that_is_not_whole_is_refused_in_one_line() -> None:
    with pytest.raises(tk.UserError, match=r"^batch_size=2\.5: expected a whole number"):
        tk.fit(dense("sgd"), X, Y, batch_size=2.5, verbose=0)


def test_epochs_are_counted_by_any_whole_number() -> None:
    history = tk.fit(dense("sgd"), X, Y, epochs=np.int64(2), batch_size=np.int32(4), verbose=0)
    assert history.epoch == [0, 1]
