"""The learning-rate finder: the loss of each batch from Keras's running mean, and the steepest fall."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from trainkit.callbacks.rate_finder import RateFinder, smoothed, steepest


def finder(**about: int) -> RateFinder:
    made = RateFinder(1e-4, 1.0, **{"steps": 5, "batch_rows": 4, "epoch_rows": 10, **about})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    made.set_model(model)
    return made


def test_rates_grow_by_one_factor_from_the_first_to_the_last() -> None:
    made = finder()
    made.on_epoch_begin(0)
    for batch in range(5):
        made.on_train_batch_begin(batch)
    np.testing.assert_allclose(made.rates, [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert float(made.model.optimizer.learning_rate) == pytest.approx(1.0)


def test_a_second_training_begins_with_the_first_rate() -> None:
    made = finder()
    for _ in range(2):
        made.on_train_begin()
        made.on_epoch_begin(0)
        made.on_train_batch_begin(0)
        assert made.rates == [pytest.approx(1e-4)]


def test_the_loss_of_a_batch_is_what_it_adds_to_the_mean_of_the_epoch() -> None:
    made = finder()
    losses = [3.0, 1.0, 2.0, 5.0, 4.0, 1.0]
    rows = [4, 4, 2]
    for epoch in range(2):
        made.on_epoch_begin(epoch)
        for batch in range(3):
            part = losses[3 * epoch : 3 * epoch + batch + 1]
            made.on_train_batch_begin(batch)
            made.on_train_batch_end(batch, {"loss": np.average(part, weights=rows[: batch + 1])})
    np.testing.assert_allclose(made.losses, losses)


@pytest.mark.parametrize("bad", [100.0, float("nan"), float("inf")])
def test_a_loss_that_diverges_ends_the_search(bad: float) -> None:
    made = finder(epoch_rows=4)
    for step in range(11):
        made.on_epoch_begin(step)
        made.on_train_batch_begin(0)
        made.on_train_batch_end(0, {"loss": bad if step == 10 else 1.0})
        assert made.model.stop_training == (step == 10)


def test_the_suggestion_is_where_the_smoothed_loss_falls_most_steeply() -> None:
    rates = np.geomspace(1e-5, 1, 101)
    fall = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # steepest at 1e-3
    losses = np.where(rates > 0.1, 1 + rates, fall)
    found = steepest(list(rates), list(losses))
    assert found is not None
    assert 5e-4 < found < 1e-2  # the smoothing lags behind
    assert steepest(list(rates), list(1 + rates)) is None
    noise = np.random.default_rng(0).normal(0, 0.3, 101)
    noisy = steepest(list(rates), list(fall + noise))
    assert noisy is not None
    assert 1e-4 < noisy < 1e-2  # a single lucky batch at the start does not decide


def test_smoothing_begins_with_the_first_loss() -> None:
    assert smoothed([2.0]) == [pytest.approx(2.0)]
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
