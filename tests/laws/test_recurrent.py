"""LSTM and GRU with loops of our own: outputs, states and gradients are those of Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainkit.backend import recurrent
from trainkit.backend.patches import patched

ROWS, STEPS = 19, 6
X = np.random.default_rng(0).normal(size=(ROWS, STEPS, 3)).astype("float32")
MASK = np.random.default_rng(3).random((ROWS, STEPS)) > 0.4
MASK[3] = False  # a row without any time step


def everything(layer: Any, masked: bool, given: bool, xla: bool) -> list[np.ndarray]:
    """Outputs, and the gradients with respect to inputs, weights and initial states."""
    count = len(layer.cell.state_size) if isinstance(layer, layers.LSTM) else 1
    draw = np.random.default_rng(1)
    states = [tf.constant(draw.normal(size=(ROWS, 4)), tf.float32) for _ in range(count)] if given else []

    @tf.function(autograph=False, jit_compile=xla)
    def run(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, *states])
            mask = tf.constant(MASK) if masked else None
            found = keras.tree.flatten(layer(x, initial_state=states or None, mask=mask, training=True))
            weighed = [
                out * tf.reshape(tf.cos(tf.range(float(out.shape.num_elements()))), out.shape)
                for out in found
            ]
            total = tf.add_n([tf.reduce_sum(out) for out in weighed])
        return found, tape.gradient(total, [x, *(w.value for w in layer.weights), *states])

    return [np.asarray(value) for value in tf.nest.flatten(run(tf.constant(X)))]


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize(
    ("settings", "masked", "given", "xla"),
    [
        ({}, False, False, False),
        ({}, True, True, False),
        ({"return_sequences": True, "go_backwards": True}, True, False, False),
        ({"return_sequences": True, "return_state": True}, True, True, True),
        ({"return_state": True, "go_backwards": True}, False, True, True),
    ],
)
def test_loops_of_our_own_are_those_of_keras(
    make: type, settings: dict[str, Any], masked: bool, given: bool, xla: bool
) -> None:
    layer = make(4, bias_initializer=keras.initializers.RandomNormal(seed=2), **settings)
    layer.build(X.shape)
    assert recurrent.takes(layer)
    theirs = everything(layer, masked, given, xla)
    with patched(recurrent.recurrent_kernels(xla)):
        mine = everything(layer, masked, given, xla)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
def test_states_of_a_width_that_the_graph_does_not_know_are_taken(make: type) -> None:
    layer = make(4, return_state=True)
    layer.build(X.shape)
    count = 2 if make is layers.LSTM else 1
    specs = [tf.TensorSpec([None, *X.shape[1:]]), *[tf.TensorSpec([None, None])] * count]
    given = [tf.constant(X), *[tf.ones([ROWS, 4])] * count]

    def run() -> Any:
        @tf.function(autograph=False, input_signature=specs)
        def both(x: tf.Tensor, *states: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(states)
                found = layer(x, initial_state=list(states))
                total = tf.add_n([tf.reduce_sum(one**2) for one in found])
            return found, tape.gradient(total, states)

        return tf.nest.flatten(both(*given))

    theirs = run()
    with patched(recurrent.recurrent_kernels(False)):
        mine = run()
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LSTM(4, activation="relu"),
        lambda: layers.LSTM(4, recurrent_dropout=0.5),
        lambda: layers.LSTM(4, unroll=True),
        lambda: layers.LSTM(4, use_bias=False),
        lambda: layers.LSTM(4, dtype="mixed_bfloat16"),
        lambda: layers.GRU(4, reset_after=False),
        lambda: layers.GRU(4, dropout=0.5),
        lambda: layers.RNN([layers.LSTMCell(4), layers.LSTMCell(4)]),
        lambda: layers.SimpleRNN(4),
    ],
)
def test_all_other_layers_run_keras_s_own_loop(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ours(*_: Any) -> None:
        raise AssertionError("a loop of our own ran")

    for name in ("_lstm", "_gru"):
        monkeypatch.setattr(recurrent, name, ours)
    layer = make()
    assert not recurrent.takes(layer)
    with patched(recurrent.recurrent_kernels(xla=False)):
        assert layer(tf.constant(X), training=True).shape == (ROWS, 4)


def test_a_batch_in_parts_is_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layers.LSTM(4, return_sequences=True)
    layer.build(X.shape)

    def found(cores: int) -> list[np.ndarray]:
        monkeypatch.setattr("os.cpu_count", lambda: cores)
        with patched(recurrent.recurrent_kernels(xla=False)):
            return everything(layer, True, False, False)

    for a, b in zip(found(2), found(1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
