"""The masks of dropout: those of `model.fit` in a short training, those of XLA in a long one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import trainkit as tk
from tests.support.training import programs_made
from trainkit.backend import kernels
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer import short_trainings

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TrainProgram]:
    """The training programs that are made in the test."""
    return programs_made(monkeypatch)


def masked(fit: Any, epochs: int) -> list[float]:
    """The losses of a training with dropout of several kinds, and a ragged last batch."""
    keras.utils.set_random_seed(0)
    drops = [layers.Dropout(0.3), layers.Dropout(0.3, noise_shape=(None, 1)), layers.GaussianDropout(0.2)]
    model = keras.Sequential([keras.Input((3,)), layers.Dense(8, "tanh"), *drops, layers.Dense(1)])
    model.compile("adam", "mse")
    found = fit(model, X, Y, epochs=epochs, batch_size=4, shuffle=False, verbose=0)
    return list(found.history["loss"])


@pytest.mark.parametrize("epochs", [2, 15], ids=["batch by batch", "by the loop"])
def test_a_short_training_drops_what_model_fit_drops(made: list[TrainProgram], epochs: int) -> None:
    mine = masked(tk.fit, epochs)
    assert [program.traces for program in made] == [1]
    np.testing.assert_allclose(mine, masked(keras.Model.fit, epochs), rtol=1e-4)


def test_masks_are_compiled_once_for_all_programs_of_a_long_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_trainings, "MASK_STEPS", 5)
    drawn = []
    usual = kernels._mask
    monkeypatch.setattr(kernels, "_mask", lambda *one: drawn.append(one[0]) or usual(*one))
    for _ in range(2):
        masked(tk.fit, 2)
    assert sorted(drawn) == sorted(set(drawn))
    assert {(4, 8), (2, 8), (4, 1), (2, 1)} <= set(drawn)
