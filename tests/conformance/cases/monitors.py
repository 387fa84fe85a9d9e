"""Keras's callbacks that watch a value, or set the rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers
from keras.callbacks import (
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

from tests.conformance.parts import VALIDATION, X, Y, classifier, compiled, dense, fit, labels, sgd
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("monitors")

# What a scripted metric shows at the end of each epoch.
SCRIPT = [5.0, 4.0, 4.5, 3.9, 3.95, 4.1, 3.0, 3.5, 3.6, 3.7]


def scripted(name: str = "score") -> LambdaCallback:
    """Writes `SCRIPT` into the logs, so that a case does not hang on how a model happens to learn."""

    def write(epoch: int, logs: dict[str, Any]) -> None:
        logs[name] = SCRIPT[epoch]

    return LambdaCallback(on_epoch_end=write)


def watched(build: Callable[[], Any], stops_after: int | None, side: Side) -> None:
    callback = build()
    history = fit(side, dense(), callbacks=[scripted(), callback], epochs=len(SCRIPT), batch_size=5)
    side.note("best", getattr(callback, "best", None))
    side.note("counters", [getattr(callback, name, None) for name in ("wait", "stopped_epoch", "best_epoch")])
    assert len(history.epoch) == (stops_after or len(SCRIPT))


STOPPING: dict[str, tuple[dict[str, Any], int]] = {
    "stop_at_once": ({}, 3),
    "stop_after_patience": ({"patience": 2}, 6),
    "stop_for_want_of_enough": ({"patience": 2, "min_delta": 0.5}, 4),
    "stop_below_a_baseline": ({"patience": 3, "baseline": 2.0}, 3),
    "stop_beside_a_baseline_that_is_reached": ({"patience": 4, "baseline": 3.95}, 10),
    "stop_from_an_epoch_on": ({"start_from_epoch": 4}, 6),
    "stop_and_restore": ({"patience": 2, "restore_best_weights": True}, 6),
    "stop_never_and_restore": ({"patience": 50, "restore_best_weights": True}, 10),
    "stop_at_a_maximum": ({"patience": 1, "mode": "max"}, 2),
}
for name, (given, epochs) in STOPPING.items():
    build = partial(EarlyStopping, "score", **({"mode": "min"} | given))
    case.add(name, partial(watched, build, epochs))

RATES: dict[str, dict[str, Any]] = {
    "reduce_after_patience": {"patience": 1},
    "reduce_with_a_cooldown": {"patience": 1, "cooldown": 2},
    "reduce_down_to_a_floor": {"patience": 1, "factor": 0.1, "min_lr": 0.005},
    "reduce_for_want_of_enough": {"patience": 1, "min_delta": 0.5},
}
for name, given in RATES.items():
    build = partial(ReduceLROnPlateau, "score", mode="min", **({"factor": 0.5} | given))
    case.add(name, partial(watched, build, None))


@case
def stop_by_validation_loss(side: Side) -> None:
    """By default; the weights of the best epoch come back."""
    model = dense(layers.BatchNormalization(), optimizer=sgd(1.5), metrics=["mae"])
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    history = fit(side, model, callbacks=[stopping], epochs=10, validation_data=VALIDATION, record="batches")
    assert len(history.epoch) < 10


@case
def stop_by_a_metric_whose_direction_is_known(side: Side) -> None:
    """`auto` asks the metric object of that name."""
    model = classifier(metrics=["accuracy"], optimizer=sgd(0.0))
    stopping = EarlyStopping("val_accuracy", patience=1)
    y = labels(10)
    history = fit(side, model, X, y, callbacks=[stopping], epochs=5, validation_data=(X[:5], y[:5]))
    side.note("best", stopping.best)
    assert len(history.epoch) == 2


@case
def stop_by_a_value_that_is_sometimes_missing(side: Side) -> None:
    """Epochs without validation are passed over with a warning."""
    model = dense(optimizer=sgd(1.5))
    stopping = EarlyStopping(patience=1)
    fit(side, model, callbacks=[stopping], epochs=8, validation_data=VALIDATION, validation_freq=2)


@case
def stop_in_a_second_training(side: Side) -> None:
    """The same object begins anew."""
    stopping = EarlyStopping("loss", patience=1, min_delta=10.0)
    model = dense()
    fit(side, model, callbacks=[stopping], epochs=5)
    fit(side, model, callbacks=[stopping], epochs=5)


@case
def stop_by_what_another_callback_logs(side: Side) -> None:
    """In the order of the list: a callback behind it would log too late."""
    stopping = EarlyStopping("score", mode="min", patience=1)
    fit(side, dense(), callbacks=[stopping, scripted()], epochs=4)


@case
def a_direction_that_is_unknown(side: Side) -> None:
    """Keras trains an epoch, and then raises."""
    stopping = EarlyStopping("own")
    model = dense(metrics=[keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error, name="mine")])
    side.refuses(lambda: fit(side, model, callbacks=[scripted("own"), stopping]))


@case
def scheduled_rates(side: Side) -> None:
    """The rate is set at an epoch's beginning, and logged at its end."""
    schedule = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
    history = fit(side, dense(), callbacks=[schedule], epochs=3)
    assert history.history["learning_rate"][2] < history.history["learning_rate"][0]


@case
def scheduled_rates_by_epoch_alone(side: Side) -> None:
    """The old form: a function of the epoch."""
    fit(side, dense(), callbacks=[LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))], epochs=3)


@case
def scheduled_and_reduced_rates_of_adam(side: Side) -> None:
    reducing = ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=100.0)
    schedule = LearningRateScheduler(lambda epoch, rate: rate * 1.1)
    fit(side, dense(optimizer="adam"), callbacks=[schedule, reducing], epochs=4, record="batches")


def with_nan(**given: Any) -> tuple[keras.Model, np.ndarray]:
    x = X.copy()
    x[5] = np.nan
    return dense(**given), x


@case
def nan_ends_the_training(side: Side) -> None:
    """After the batch that shows it; the epoch is logged."""
    model, x = with_nan(metrics=["mae"])
    history = fit(side, model, x, callbacks=[TerminateOnNaN()], epochs=3, validation_data=VALIDATION)
    assert history.epoch == [0]
    assert int(model.optimizer.iterations) == 2


@case
def infinity_ends_the_training(side: Side) -> None:
    model = dense(optimizer=keras.optimizers.SGD(1e30))
    fit(side, model, callbacks=[TerminateOnNaN()], epochs=4, record="batches")


@case
def nan_that_raises(side: Side) -> None:
    model, x = with_nan()
    try:
        fit(side, model, x, callbacks=[TerminateOnNaN(raise_error=True)], epochs=3)
    except RuntimeError as raised:
        side.note("raised", str(raised))
    side.note_model(model)
    assert int(model.optimizer.iterations) == 2


@case
def several_at_once(side: Side) -> None:
    model = compiled(dense(layers.Dropout(0.2)), optimizer=sgd(0.5))
    watching = [
        ReduceLROnPlateau(patience=1, factor=0.5),
        EarlyStopping(patience=3, restore_best_weights=True),
    ]
    watching += [TerminateOnNaN(), LearningRateScheduler(lambda epoch, rate: rate * 0.9)]
    fit(side, model, X, Y, callbacks=watching, epochs=8, validation_data=VALIDATION)
