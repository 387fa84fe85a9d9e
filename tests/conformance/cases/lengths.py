"""How long a training is: batches, steps, epochs, validation, and one training after another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras.callbacks import LambdaCallback

from tests.conformance.cases.sources import dataset, of_unknown_size
from tests.conformance.parts import VALIDATION, X, Y, dense, fit, numbers, sgd
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("lengths")

ARGUMENTS: dict[str, dict[str, Any]] = {
    "default_batch_size": {"batch_size": None},
    "batches_of_one": {"batch_size": 1},
    "a_batch_of_all_rows": {"batch_size": 10},
    "a_batch_of_more_than_all": {"batch_size": 64},
    "batches_without_a_rest": {"batch_size": 5},
    "steps_below_the_rows": {"steps_per_epoch": 2, "epochs": 4},
    "steps_of_one": {"steps_per_epoch": 1, "epochs": 4},
    "steps_equal_to_the_rows": {"steps_per_epoch": 3},
    "steps_beyond_the_rows": {"steps_per_epoch": 5, "epochs": 3},
    "steps_without_a_batch_size": {"steps_per_epoch": 4, "batch_size": None},
    "validation_of_some_steps": {"validation_data": VALIDATION, "validation_steps": 1, "epochs": 3},
    "validation_of_too_many_steps": {"validation_data": VALIDATION, "validation_steps": 4},
    "validation_of_no_rows": {"validation_data": (X[:0], Y[:0])},
    "validation_in_other_batches": {"validation_data": VALIDATION, "validation_batch_size": 2},
    "validation_every_second_epoch": {"validation_data": VALIDATION, "validation_freq": 2, "epochs": 5},
    "validation_less_often_than_epochs": {"validation_data": VALIDATION, "validation_freq": 3},
    "validation_after_named_epochs": {"validation_data": VALIDATION, "validation_freq": [1, 3], "epochs": 4},
    "no_epochs": {"epochs": 0},
    "a_later_start": {"initial_epoch": 2, "epochs": 4, "validation_data": VALIDATION},
    "a_start_below_zero": {"initial_epoch": -1, "epochs": 1},
    "numbers_of_numpy": {
        "batch_size": np.int64(3),
        "initial_epoch": np.int8(1),
        "validation_data": VALIDATION,
        "validation_steps": np.int64(1),
        "validation_batch_size": np.int64(2),
    },
    "a_start_at_the_end": {"initial_epoch": 2},
    "a_start_beyond_the_end": {"initial_epoch": 5},
    "frequency_counts_from_epoch_one": {
        "initial_epoch": 1,
        "epochs": 4,
        "validation_data": VALIDATION,
        "validation_freq": 2,
    },
}


def trains_for(given: dict[str, Any], side: Side) -> None:
    fit(side, dense(metrics=["mae"]), **({"record": "batches"} | given))


for name, given in ARGUMENTS.items():
    case.add(name, partial(trains_for, given))


@case
def steps_that_do_not_divide_the_rows(side: Side) -> None:
    """Two steps over three batches: the next epoch has the third alone, then it begins again."""
    steps: list[int] = []
    shown = LambdaCallback(on_epoch_end=lambda epoch, logs: steps.append(int(model.optimizer.iterations)))
    model = dense()
    fit(side, model, steps_per_epoch=2, epochs=4, callbacks=[shown])
    assert steps == [2, 3, 5, 6]


@case
def without_epochs_and_callbacks(side: Side) -> None:
    fit(side, dense(), epochs=0, record=None)


SIZED: dict[str, Callable[[], tf.data.Dataset]] = {"known": dataset, "unknown": of_unknown_size}


def steps_of_a_dataset(size: str, steps: int, side: Side) -> None:
    """Below its batches an epoch goes on where the former ended; beyond them the training warns."""
    data = SIZED[size]()
    given = {"batch_size": None, "steps_per_epoch": steps, "epochs": 3, "record": "batches"}
    fit(side, dense(), data, None, counted=size == "known", **given)


for size in SIZED:
    case.add(f"steps_below_a_dataset_of_{size}_size", partial(steps_of_a_dataset, size, 2))
    case.add(f"steps_beyond_a_dataset_of_{size}_size", partial(steps_of_a_dataset, size, 5))


@case
def validation_steps_of_a_dataset(side: Side) -> None:
    """Each validation starts at the first batch again."""
    data = dataset(*VALIDATION)
    fit(side, dense(), validation_data=data, validation_steps=1, epochs=3, record="batches")


@case
def validation_steps_of_an_infinite_dataset(side: Side) -> None:
    """Here the second validation goes on where the first ended."""
    data = dataset(*VALIDATION).repeat()
    fit(side, dense(), validation_data=data, validation_steps=3, epochs=3, record="batches")


@case
def arguments_by_position(side: Side) -> None:
    """`x, y, batch_size, epochs, verbose`."""
    model = dense(metrics=["mae"])
    side.note_training(model, side.train(model, X, Y, 4, 2, 0, None, 0.0, VALIDATION, False))


@case
def one_training_after_another(side: Side) -> None:
    """The second goes on with weights, moments, schedule and random numbers; its history is new."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model = dense(layers.Dropout(0.3), optimizer=keras.optimizers.Adam(schedule), metrics=["mae"])
    fit(side, model, validation_data=VALIDATION)
    fit(side, model, epochs=4, initial_epoch=2)


@case
def a_second_training_of_other_shape(side: Side) -> None:
    """Other batches, other rows, without validation, and then with it again."""
    model = dense(layers.Dropout(0.3), metrics=["mae"])
    fit(side, model, validation_data=VALIDATION)
    fit(side, model, numbers(7, 3, seed=8), numbers(7, 2, seed=9), batch_size=3, epochs=1)
    fit(side, model, dataset(), None, batch_size=None, epochs=1, validation_data=dataset(*VALIDATION))


@case
def a_second_compile_starts_the_optimizer_anew(side: Side) -> None:
    model = dense(layers.Dropout(0.3))
    fit(side, model)
    model.compile(sgd(0.05), "mae", metrics=["mse"])
    fit(side, model)


@case
def a_second_compile_with_the_same_optimizer(side: Side) -> None:
    """Its moments and its count go on; frozen layers now stand still."""
    model = dense()
    fit(side, model)
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    fit(side, model)


@case
def between_two_trainings_the_model_is_used(side: Side) -> None:
    model = dense(layers.Dropout(0.3), layers.BatchNormalization(), metrics=["mae"])
    fit(side, model)
    side.note("evaluated", model.evaluate(*VALIDATION, verbose=0, return_dict=True))
    side.note("predicted", model.predict(X, verbose=0))
    side.note("one batch", model.train_on_batch(X, Y, return_dict=True))
    side.note("tested", model.test_on_batch(X, Y, return_dict=True))
    fit(side, model, validation_data=VALIDATION)


@case
def weights_set_between_two_trainings(side: Side) -> None:
    model = dense()
    fit(side, model)
    model.set_weights([0.5 * np.ones_like(w) for w in model.get_weights()])
    fit(side, model)


@case
def limits_for_debugging(side: Side) -> None:
    """`keras.config.set_max_epochs` and `set_max_steps_per_epoch` cap what is asked for."""
    keras.config.set_max_epochs(2)
    keras.config.set_max_steps_per_epoch(2)
    try:
        fit(side, dense(), epochs=5, validation_data=VALIDATION, record="batches")
    finally:
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
