"""Stochastic weight averaging: the mean of the weights after the last epochs, also of a resumed training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.weight_average import WeightAverage, refresh_batch_statistics


class Weights(keras.callbacks.Callback):
    """Keeps the weights after each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[np.ndarray]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append([np.asarray(v) for v in self.model.trainable_variables])


def trained(trainer: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in trainer.model.trainable_variables]


@pytest.mark.slow_but_first
@pytest.mark.parametrize("watched", [True, False], ids=["epoch_by_epoch", "several_epochs_per_call"])
def test_a_training_ends_with_the_mean_of_its_last_epochs(watched: bool) -> None:
    weights = Weights()
    fit(Toy(), epochs=4, callbacks=[weights])
    average = WeightAverage(3)
    trainer, _ = fit(Toy(), epochs=4, callbacks=[average, *([Weights()] if watched else [])])
    assert average.count == 2
    for third, fourth, mean in zip(*weights.seen[2:], trained(trainer), strict=True):
        np.testing.assert_allclose(mean, (third + fourth) / 2, atol=1e-7)


@pytest.mark.slow
def test_a_resumed_training_averages_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, _ = fit(Toy(), epochs=4, callbacks=[WeightAverage(2)])
    saver = Checkpoints(tmp_path, "val_loss")
    fit(Toy(), epochs=3, callbacks=[WeightAverage(2), saver])
    average = WeightAverage(2)
    resumed, _ = fit(Toy(), epochs=4, callbacks=[average], resume=tmp_path / "last")
    assert average.count == 3
    for a, b in zip(trained(whole), trained(resumed), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_batch_statistics_are_means_over_batches_and_momenta_stay() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.9)])
    x = np.random.default_rng(0).normal(2.0, 3.0, (40, 3)).astype(np.float32)
    refresh_batch_statistics(model, x, 10)
    layer = model.layers[0]
    parts = x.reshape(4, 10, 3)
    np.testing.assert_allclose(layer.moving_mean, parts.mean(1).mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, parts.var(1).mean(0), rtol=1e-4)
    assert layer.momentum == 0.9


def test_a_second_fit_averages_as_the_first() -> None:
    average = WeightAverage(1)
    trainer, _ = fit(Toy(), epochs=2, callbacks=[average])
    first = trained(trainer)
    trainer.fit(Toy(n=60))
    assert average.count == 2
    trainer.fit(Toy())
    assert all(np.array_equal(a, b) for a, b in zip(first, trained(trainer), strict=True))
