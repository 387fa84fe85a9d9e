"""Layers that are frozen or set free after a training: Keras goes on with what it has traced."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers
from keras.callbacks import LambdaCallback

from tests.conformance.parts import BATCH, VALIDATION, X, Y, dense, fit, sgd
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("freezing")


@case
def frozen_after_a_training(side: Side) -> None:
    """Without `compile` it goes on, whatever the callbacks of the next training need."""
    model = dense()
    fit(side, model)
    before = np.array(model.layers[0].kernel)
    model.layers[0].trainable = False
    fit(side, model, record="batches")
    fit(side, model, batch_size=5, validation_data=VALIDATION)
    assert not np.array_equal(before, np.array(model.layers[0].kernel))
    assert model.layers[0].trainable is False


@case
def set_free_after_a_training(side: Side) -> None:
    model = dense(layers.BatchNormalization(trainable=False))
    fit(side, model, record="batches")
    statistics = np.array(model.layers[1].moving_mean)
    model.layers[1].trainable = True
    fit(side, model)
    assert np.array_equal(statistics, np.array(model.layers[1].moving_mean))


@case
def frozen_and_trained_on_other_batches(side: Side) -> None:
    """Keras traces those anew, and then the flag counts."""
    model = dense()
    fit(side, model)
    model.layers[0].trainable = False
    before = np.array(model.layers[0].kernel)
    fit(side, model, sample_weight=np.linspace(0.5, 1.5, 10))
    assert np.array_equal(before, np.array(model.layers[0].kernel))
    fit(side, model)
    assert not np.array_equal(before, np.array(model.layers[0].kernel))


@case
def frozen_between_two_models(side: Side) -> None:
    """Another model's training in between changes nothing."""
    model, other = dense(), dense()
    fit(side, model)
    fit(side, other)
    model.layers[0].trainable = False
    before = np.array(model.layers[0].kernel)
    fit(side, model)
    assert not np.array_equal(before, np.array(model.layers[0].kernel))


@case
def compiled_again(side: Side) -> None:
    model = dense()
    fit(side, model)
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    before = np.array(model.layers[0].kernel)
    fit(side, model, record="batches")
    assert np.array_equal(before, np.array(model.layers[0].kernel))


@case
def frozen_by_a_callback_that_asks_for_another_trace(side: Side) -> None:
    """As the `trainable` property documents it."""
    _frozen_by_a_callback(side, force=True)


@case
def frozen_by_a_callback(side: Side) -> None:
    _frozen_by_a_callback(side, force=False)


@case
def another_trace_between_trainings(side: Side) -> None:
    model = dense()
    fit(side, model)
    model.layers[0].trainable = False
    model.make_train_function(force=True)
    before = np.array(model.layers[0].kernel)
    fit(side, model)
    assert np.array_equal(before, np.array(model.layers[0].kernel))


def _frozen_by_a_callback(side: Side, *, force: bool) -> None:
    model = dense()
    kernels: list[Any] = []

    def freeze(epoch: int, logs: Any) -> None:
        kernels.append(np.array(model.layers[0].kernel))
        if epoch == 0:
            model.layers[0].trainable = False
            model.make_train_function(force=force)

    side.fit(
        model, X, Y, batch_size=BATCH, epochs=3, callbacks=[LambdaCallback(on_epoch_end=freeze)], record=None
    )
    assert np.array_equal(kernels[0], kernels[2]) is force


@case
def after_keras_has_trained(side: Side) -> None:
    """By `model.fit` itself, and nothing was frozen since."""
    model = dense()
    model.fit(X, Y, batch_size=BATCH, shuffle=False, verbose=0)
    fit(side, model)


@case
def set_after_a_training(side: Side) -> None:
    """Whatever Python values a trace reads, those of the first one count."""
    model = dense(layers.Dropout(0.5), optimizer=sgd(clipnorm=0.5))
    fit(side, model)
    model.layers[1].rate = 0.0
    model.optimizer.clipnorm = None
    model.optimizer.momentum = 0.0
    fit(side, model, record="batches", validation_data=VALIDATION)
    model.compile(model.optimizer, "mse")
    fit(side, model)
