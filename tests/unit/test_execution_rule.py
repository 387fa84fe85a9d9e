"""What `trainer.execution=auto` decides without any timing."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from trainkit.backend.devices import has_gpu
from trainkit.trainer.execution import Situation, xla_by_rule


def recurrent(units: int) -> keras.Model:
    return keras.Sequential(
        [keras.Input((5, 2)), layers.Bidirectional(layers.GRU(units)), layers.Dense(1)],
    )


def decided(model: keras.Model, *operations: str, steps: int = 100_000) -> bool:
    return xla_by_rule(Situation("auto", False, 1, steps, 32, "", frozenset(operations)), model)[0]


def test_narrow_recurrent_layers_are_compiled_and_wide_ones_are_not() -> None:
    if has_gpu():
        pytest.skip("on a GPU, XLA is always right")
    assert decided(recurrent(16), "While", "MatMul")
    assert not decided(recurrent(16), "While", "MatMul", steps=10)
    assert not decided(recurrent(16), "While", "Conv2D")
    assert not decided(recurrent(128), "While", "MatMul")
    # A loop of the user's own says nothing of its size.
    assert not decided(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), "While")
