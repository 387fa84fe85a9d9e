"""Layers of every kind: with states and masks of their own, of other types, with text, added or compressed
weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.conformance.parts import VALIDATION, X, Y, compiled, dense, fit, labels, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("layers")
STEPS = numbers(10, 4, 3)
IMAGES = numbers(10, 6, 6, 2)
WORDS = labels(10, 5, classes=5)


def chain(shape: tuple[int, ...], *parts: keras.layers.Layer, dtype: str | None = None) -> keras.Model:
    inputs = keras.Input(shape, dtype=dtype)
    return compiled(keras.Sequential([inputs, *parts, layers.Dense(2)]))


class Counting(keras.layers.Layer):
    """Counts its calls in training, by a weight that is not trained and by a variable of TensorFlow's."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int64")
        self.mean = tf.Variable(0.0, trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.calls.assign(self.calls + 1)
            self.mean.assign_add(tf.reduce_mean(x))
        return x + ops.cast(self.calls, x.dtype) * 0.01


class Masking(keras.layers.Layer):
    """Masks the steps that have no number above -1."""

    supports_masking = True

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return ops.any(x > -1, axis=-1)

    def call(self, x: Any) -> Any:
        return 2 * x


@case
def counting(side: Side) -> None:
    layer = Counting()
    fit(side, dense(layer), validation_data=VALIDATION)
    side.note("calls", layer.calls)
    side.note("mean", layer.mean)


@case
def a_mask_of_its_own(side: Side) -> None:
    model = keras.Sequential([keras.Input((4, 3)), Masking(), layers.LSTM(3, return_sequences=True)])
    fit(side, compiled(model, metrics=["mae"], weighted_metrics=["mse"]), STEPS, numbers(10, 4, 3))


@case
def attention_over_masked_words(side: Side) -> None:
    words = keras.Input((5,), dtype="int32")
    seen = layers.Embedding(5, 4, mask_zero=True)(words)
    parts = [
        layers.Attention(use_scale=True)([seen, seen]),
        layers.MultiHeadAttention(2, 2)(seen, seen, use_causal_mask=True),
    ]
    outputs = layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.Add()(parts)))
    fit(side, compiled(keras.Model(words, outputs)), WORDS, Y, validation_data=(WORDS[:5], Y[:5]))


@case
def recurrent_states_handed_on(side: Side) -> None:
    inputs = keras.Input((4, 3))
    outputs, hidden, cell = layers.LSTM(3, return_state=True)(inputs)
    again = layers.LSTM(3)(inputs, initial_state=[hidden, cell])
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()([outputs, again])))
    fit(side, compiled(model), STEPS, Y)


@case
def text_by_its_hash(side: Side) -> None:
    # Not at import: a tensor fixes TensorFlow's devices, whose number tests/conftest.py sets.
    letters = tf.constant(list("abcabdabcd"))[:, None]
    fit(side, chain((1,), layers.Hashing(5, output_mode="one_hot"), dtype="string"), letters, Y)


CHAINS: dict[str, Callable[[], tuple[keras.Model, Any]]] = {
    "batch_norm_renormalised": lambda: (chain((3,), layers.BatchNormalization(renorm=True)), X),
    "batch_norm_of_images": lambda: (
        chain((6, 6, 2), layers.Conv2D(2, 3), layers.BatchNormalization(momentum=0.5), layers.Flatten()),
        IMAGES,
    ),
    "cells_in_a_stack_in_both_directions": lambda: (
        chain(
            (4, 3),
            layers.Bidirectional(layers.GRU(2, return_sequences=True)),
            layers.RNN([layers.LSTMCell(3), layers.SimpleRNNCell(2)]),
        ),
        STEPS,
    ),
    "convolutions_over_time": lambda: (
        chain((3, 4, 4, 1), layers.ConvLSTM2D(2, 2), layers.Flatten()),
        numbers(10, 3, 4, 4, 1),
    ),
    "the_same_at_each_step": lambda: (
        chain((4, 3), layers.TimeDistributed(layers.Dense(2)), layers.Flatten()),
        STEPS,
    ),
    "policies_of_each_layer": lambda: (
        chain(
            (3,),
            layers.Dense(4, dtype="mixed_float16"),
            layers.Dense(4, dtype="float64"),
            layers.Dense(4, dtype=keras.DTypePolicy("mixed_bfloat16")),
        ),
        X,
    ),
    "numbers_in_bins": lambda: (
        chain((1,), layers.Discretization([-1.0, 0.0, 1.0], output_mode="one_hot")),
        X[:, :1],
    ),
    "low_rank_updates": lambda: (with_lora(), X),
}


def with_lora() -> keras.Model:
    model = chain((3,), layers.Dense(4))
    for layer in model.layers:
        layer.enable_lora(2)
    return compiled(model)


def trains(build: Callable[[], tuple[keras.Model, Any]], side: Side) -> None:
    model, x = build()
    fit(side, model, x, Y, validation_data=(np.asarray(x)[:5], Y[:5]))


for name, build in CHAINS.items():
    case.add(name, partial(trains, build))
