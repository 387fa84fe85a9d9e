"""Sequences: recurrent and masked layers, embeddings, attention, text."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.conformance.parts import LABELS, Y, compiled, fit, labels, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("sequences")


def text_like(*steps: keras.layers.Layer, **given: Any) -> keras.Model:
    """Five tokens in, 0 for padding, three classes out."""
    head = layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *steps, head])
    return compiled(
        model, **({"loss": "sparse_categorical_crossentropy", "weighted_metrics": ["acc"]} | given)
    )


TOKENS = labels(10, 5, classes=7, seed=4)
STEP_LABELS = labels(10, 5)


@case
def masked_lstm(side: Side) -> None:
    model = text_like(layers.Embedding(7, 4, mask_zero=True), layers.LSTM(4))
    fit(side, model, TOKENS, LABELS, validation_data=(TOKENS[:5], LABELS[:5]))


@case
def masked_steps(side: Side) -> None:
    """The mask reaches the loss and the metrics: padded steps weigh nothing."""
    model = text_like(layers.Embedding(7, 4, mask_zero=True), layers.GRU(4, return_sequences=True))
    fit(side, model, TOKENS, STEP_LABELS, record="batches")


@case
def masking_and_recurrent_dropout(side: Side) -> None:
    x = numbers(10, 4, 3)
    x[::2, 2:] = 0.0
    rnn = layers.Bidirectional(layers.LSTM(3, dropout=0.2, recurrent_dropout=0.2))
    model = keras.Sequential([keras.Input((4, 3)), layers.Masking(), rnn, layers.Dense(2)])
    fit(side, compiled(model), x, Y)


@case
def stateful_rnn(side: Side) -> None:
    """The state goes on from batch to batch and epoch to epoch, through validation too."""
    rnn = layers.GRU(3, stateful=True)
    model = keras.Sequential([keras.Input((4, 2), batch_size=2), rnn, layers.Dense(1)])
    x, y = numbers(8, 4, 2), numbers(8, 1, seed=1)
    fit(side, compiled(model), x, y, batch_size=2, validation_data=(x[:4], y[:4]))
    side.note("states", rnn.states)


@case
def a_stateful_layer_of_one_row(side: Side) -> None:
    """The inputs name the number of rows: a state of one row takes no batch of an unknown number."""
    stack = [keras.Input(batch_shape=(1, 3, 2)), layers.SimpleRNN(4, stateful=True), layers.Dense(1)]
    fit(side, compiled(keras.Sequential(stack)), numbers(5, 3, 2), numbers(5, 1, seed=1), batch_size=1)


@case
def embeddings_under_adam(side: Side) -> None:
    """Sparse gradients: Adam moves only the rows that a batch has seen, and lets all moments decay."""
    model = text_like(layers.Embedding(50, 3), layers.Flatten(), optimizer=keras.optimizers.Adam(0.05))
    fit(side, model, TOKENS, LABELS)


@case
def embeddings_under_adagrad(side: Side) -> None:
    model = text_like(layers.Embedding(50, 3), layers.Flatten(), optimizer=keras.optimizers.Adagrad(0.05))
    fit(side, model, TOKENS, LABELS)


@case
def transformer_block(side: Side) -> None:
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(inputs)
    x = layers.LayerNormalization()(
        x + layers.MultiHeadAttention(2, 2, dropout=0.1)(x, x, use_causal_mask=True)
    )
    x = layers.LayerNormalization()(x + layers.Dense(4)(layers.Dense(8, activation="gelu")(x)))
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    model = compiled(keras.Model(inputs, outputs), "sparse_categorical_crossentropy", "adam", metrics=["acc"])
    fit(side, model, TOKENS, LABELS)


@case
def ctc(side: Side) -> None:
    """Labels of other length than the outputs."""
    rnn = layers.LSTM(4, return_sequences=True)
    model = keras.Sequential([keras.Input((6, 3)), rnn, layers.Dense(5)])
    y = labels(10, 2, classes=4) + 1
    fit(side, compiled(model, keras.losses.CTC()), numbers(10, 6, 3), y)


@case
def text_through_a_lookup(side: Side) -> None:
    """Strings as inputs: a layer of the model encodes them."""
    words = np.array([["red"], ["green"], ["blue"], ["red"], ["pink"]] * 2)
    lookup = layers.StringLookup(vocabulary=["red", "green", "blue"])
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), lookup, layers.Embedding(4, 3), layers.Flatten()]
    )
    model.add(layers.Dense(2))
    fit(side, compiled(model), tf.constant(words), Y)
