"""What XLA is handed directly computes what TensorFlow's own operations do, bit for bit, in its gradients
too."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainkit.backend.compat.gradients import gradient_ops
from trainkit.backend.lowering import lowered_directly
from trainkit.backend.patches import Replacement, patched


def rows(dtype: str) -> tf.Tensor:
    found = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
    found[0] = 0.0, -0.0, np.inf, -np.inf, np.nan
    return tf.cast(found, dtype)


def derivatives(replacements: list[Replacement], dtype: str) -> list[np.ndarray]:
    """A layer with ReLU: its outputs, gradients, and the gradient of a gradient."""
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(3, activation="relu", dtype=dtype)
    layer.build([None, 5])
    layer.bias.assign([0.0, 0.1, -0.1])

    @tf.function(autograph=False, jit_compile=True)
    def run(x: tf.Tensor) -> list[tf.Tensor]:
        with patched(replacements), tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
                total = tf.reduce_sum(y * y)
            first = tape.gradient(total, x)
            watched = [x, *[v.value for v in layer.trainable_variables]]
            loss = total + tf.reduce_sum(first * first)
        return [y, first, *outer.gradient(loss, watched)]

    given = rows(dtype)
    return [one.numpy().astype("float32") for one in [*run(given), *run(given[1:])]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_gradients_are_those_of_tensorflow(dtype: str) -> None:
    for got, wanted in zip(derivatives(lowered_directly(), dtype), derivatives([], dtype), strict=True):
        np.testing.assert_array_equal(got, wanted)


def in_a_branch(x: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_sum(x) < 1e9, lambda: keras.ops.relu(x), lambda: x)


def in_a_loop(x: tf.Tensor) -> tf.Tensor:
    def body(i: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, keras.ops.relu(y)

    return tf.while_loop(lambda i, _: i < 2, body, (0, x), maximum_iterations=2)[1]


@pytest.mark.parametrize("way", [in_a_branch, in_a_loop, lambda x: tf.map_fn(keras.ops.relu, x)])
def test_a_gradient_at_zero_is_zero_in_branches_and_loops_too(way: Callable[[tf.Tensor], tf.Tensor]) -> None:
    @tf.function(autograph=False, jit_compile=True)
    def run(x: tf.Tensor) -> tf.Tensor:
        with patched(lowered_directly()), tf.GradientTape() as tape:
            tape.watch(x)
            y = way(x)
        return tape.gradient(y, x)

    np.testing.assert_array_equal(run(tf.constant([0.0, -0.0, -1.0, 2.0])), [0.0, 0.0, 0.0, 1.0])


def test_other_layouts_and_integers_are_left_to_tensorflow() -> None:
    given = tf.reshape(tf.range(24.0), [2, 3, 2, 2])
    with patched(lowered_directly()):
        got = gradient_ops.bias_add_grad(given, data_format="NCHW")
        whole = keras.ops.relu(tf.constant([-1, 2]))
    np.testing.assert_array_equal(got, tf.reduce_sum(given, [0, 2, 3]))
    assert whole.numpy().tolist() == [0, 2]
