"""How a model was compiled to run: eagerly, with XLA, in steps of several."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

from tests.conformance.cases.sources import dataset, of_unknown_size
from tests.conformance.parts import VALIDATION, dense, fit
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("running")

WAYS: dict[str, dict[str, Any]] = {
    "eagerly": {"run_eagerly": True},
    "with_xla": {"jit_compile": True},
    "without_xla": {"jit_compile": False},
    "in_steps_of_two": {"steps_per_execution": 2},
    "in_steps_of_more_than_the_epoch": {"steps_per_execution": 10},
    "with_xla_in_steps_of_two": {"jit_compile": True, "steps_per_execution": 2},
}


def runs(given: dict[str, Any], side: Side) -> None:
    model = dense(layers.Dropout(0.3), metrics=["mae"], **given)
    fit(side, model, validation_data=VALIDATION)


for way, given in WAYS.items():
    case.add(way, partial(runs, given))


@case
def with_xla_over_batches_without_a_rest(side: Side) -> None:
    """One shape, one program: also with noise and an optimizer of many parts."""
    optimizer = keras.optimizers.AdamW(0.01, clipnorm=0.5)
    model = dense(layers.GaussianNoise(0.1), optimizer=optimizer, jit_compile=True)
    fit(side, model, batch_size=5, record="batches")


@case
def in_steps_of_two_over_an_unknown_size(side: Side) -> None:
    model = dense(steps_per_execution=2)
    fit(side, model, of_unknown_size(), None, batch_size=None, record="batches")


@case
def in_steps_of_two_with_steps_per_epoch(side: Side) -> None:
    model = dense(steps_per_execution=2)
    given = {"batch_size": None, "steps_per_epoch": 3, "record": "batches"}
    fit(side, model, dataset().repeat(), None, **given)


@case
def eagerly_with_python_in_the_step(side: Side) -> None:
    """An eager step runs its Python for each batch."""
    rows: list[int] = []

    class Counting(keras.Sequential):
        def train_step(self, data):
            rows.append(int(data[0].shape[0]))
            return super().train_step(data)

    model = Counting([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    fit(side, model)
    side.note("rows", rows)
    assert rows == [4, 4, 2] * 2


@case
def with_functions_run_eagerly(side: Side) -> None:
    """`run_eagerly` set on the model after `compile`, before it is traced."""
    model = dense()
    model.run_eagerly = True
    fit(side, model)
