"""Adam as one operation a variable: the update of Keras, for dense gradients and for rows of embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainkit.backend import kernels
from trainkit.backend.patches import patched
from trainkit.backend.traced_values import TracedFloat


def steps_of(
    optimizer: keras.optimizers.Optimizer, gradient: Callable[[int], Any], xla: bool = False
) -> list[np.ndarray]:
    first, second = np.linspace(-1.0, 1.0, 12).reshape(4, 3), np.ones(3)
    variables = [keras.Variable(value, dtype="float32") for value in (first, second)]
    optimizer.build(variables)

    @tf.function(jit_compile=xla)
    def step(first: Any) -> None:
        optimizer.apply([first, tf.fill([3], 0.5)], variables)

    for i in range(6):
        step(gradient(i))
    return [np.asarray(v) for v in (*variables, *optimizer.variables)]


def dense(i: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(i).normal(size=(4, 3)), tf.float32)


def rows(i: int) -> tf.IndexedSlices:
    return tf.IndexedSlices(dense(i)[:2], tf.constant([i % 4, 3 - i % 3]), tf.constant([4, 3]))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("gradient", [dense, rows])
@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.1, beta_1=0.8, epsilon=1e-3),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.1),
        lambda: keras.optimizers.Adam(0.1, amsgrad=True),
        lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), global_clipnorm=1.0
        ),
        lambda: keras.optimizers.Adam(0.1, use_ema=True),
    ],
)
def test_adam_is_that_of_keras(
    make: Callable[[], keras.optimizers.Optimizer], gradient: Callable[[int], Any]
) -> None:
    theirs = steps_of(make(), gradient)
    for xla in (False, True):
        with patched(kernels.fast_kernels(xla)):
            mine = steps_of(make(), gradient, xla)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_adam_knows_that_a_step_may_update_twice() -> None:
    def run() -> list[np.ndarray]:
        optimizer = keras.optimizers.Adam(0.1)
        variables = [keras.Variable([1.0, 2.0]), keras.Variable([3.0])]
        optimizer.build(variables)

        @tf.function
        def step() -> None:
            optimizer.apply([tf.constant([0.3, -0.2])], variables[:1])
            optimizer.apply([tf.constant([0.1])], variables[1:])
            optimizer.apply([tf.constant([0.3, 1.0]), tf.constant([2.0])], variables)

        for _ in range(3):
            step()
        return [np.asarray(v) for v in (*variables, *optimizer.variables)]

    theirs = run()
    with patched(kernels.fast_kernels(False)):
        mine = run()
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_adam_counts_its_updates_where_gradients_are_accumulated() -> None:
    def run() -> list[np.ndarray]:
        return steps_of(keras.optimizers.Adam(0.1, gradient_accumulation_steps=2), dense)

    theirs = run()
    with patched(kernels.fast_kernels(False)):
        mine = run()
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gradient", [dense, rows])
def test_adam_reads_its_settings_from_variables_where_they_are_traced(gradient: Callable[[int], Any]) -> None:
    values = {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}
    theirs = steps_of(keras.optimizers.Adam(0.1, **values), gradient)
    optimizer = keras.optimizers.Adam(0.1, beta_1=0.5, beta_2=0.6, epsilon=1e-1)
    read = {name: tf.Variable(value, dtype=tf.float64) for name, value in values.items()}

    class Reading(keras.optimizers.Adam):
        """Holds other numbers than the variables do, as in the trial that a program was traced for."""

        def apply(self, *arguments: Any) -> None:
            for name, variable in read.items():
                setattr(self, name, TracedFloat(getattr(optimizer, name), variable.read_value()))
            super().apply(*arguments)

    with patched(kernels.fast_kernels(False)):
        mine = steps_of(Reading(0.1), gradient)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
