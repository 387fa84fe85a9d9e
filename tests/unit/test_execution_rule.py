"""What `trainer.execution=auto` decides without any timing."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from trainkit.backend.devices import has_gpu
from trainkit.trainer.execution import Situation, xla_by_rule


def recurrent(units: int, **settings: Any) -> keras.Model:
    settings = settings or {"recurrent_dropout": 0.1}  # which our kernel does not take
    return keras.Sequential(
        [keras.Input((5, 2)), layers.Bidirectional(layers.GRU(units, **settings)), layers.Dense(1)],
    )


def decided(model: keras.Model, *operations: str, steps: int = 100_000, alone: bool = False) -> bool:
    if not model.compiled:
        model.compile("adam")
    return xla_by_rule(Situation("auto", alone, 1, steps, 32, "", frozenset(operations), alone), model)[0]


def test_small_steps_that_are_called_one_by_one_are_not_compiled() -> None:
    if has_gpu():
        pytest.skip("on a GPU, XLA is always right")
    small, large = (
        keras.Sequential([keras.Input((n,)), layers.Dense(n), layers.Dense(1)]) for n in (20, 4000)
    )
    assert decided(small, "MatMul")
    assert not decided(small, "MatMul", alone=True)
    assert decided(large, "MatMul", alone=True)


def test_narrow_recurrent_layers_are_compiled_and_wide_ones_are_not() -> None:
    if has_gpu():
        pytest.skip("on a GPU, XLA is always right")
    assert decided(recurrent(16), "While", "MatMul")
    assert not decided(recurrent(16), "While", "MatMul", steps=10)
    assert not decided(recurrent(16), "While", "Conv2D")
    assert not decided(recurrent(128), "While", "MatMul")
    # A kernel that calls XLA by itself leaves nothing to save.
    assert not decided(recurrent(16, reset_after=True), "While", "MatMul")
    # A loop of the user's own says nothing of its size.
    assert not decided(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), "While")


def test_xla_is_for_trainings_long_enough_to_pay_for_its_compilation() -> None:
    if has_gpu():
        pytest.skip("on a GPU, XLA is always right")
    model = keras.Sequential([keras.Input((20,)), layers.Dense(64), layers.Dense(1)])
    assert decided(model, "MatMul")
    assert not decided(model, "MatMul", steps=100)


def test_what_an_update_of_many_weights_costs_counts() -> None:
    if has_gpu():
        pytest.skip("on a GPU, XLA is always right")
    words = keras.Sequential([keras.Input((1,)), layers.Embedding(100_000, 32), layers.Dense(1)])
    wide = keras.Sequential([keras.Input((1,)), layers.Dense(1800), layers.Dense(1800), layers.Dense(1)])
    for optimizer, embedded, dense in (("sgd", False, False), ("adam", True, False), ("rmsprop", True, True)):
        words.compile(optimizer)
        wide.compile(optimizer)
        assert decided(words, "MatMul", steps=500) == embedded, optimizer
        assert decided(wide, "MatMul", steps=150) == dense, optimizer
