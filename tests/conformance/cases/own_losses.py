"""Subclassed models without a compiled loss: what they add, sample and step by themselves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.conformance.cases.subclasses import Plain
from tests.conformance.parts import X, Y, compiled, fit, sgd
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("own_losses")


class AddsLoss(keras.Model):
    """Its loss is all its own: there are no labels."""

    def __init__(self) -> None:
        super().__init__()
        self.code = layers.Dense(2, activation="tanh")
        self.decode = layers.Dense(3)

    def call(self, x):
        y = self.decode(self.code(x))
        self.add_loss(ops.mean(ops.square(x - y)))
        return y


@case
def only_add_loss(side: Side) -> None:
    fit(side, compiled(AddsLoss(), None), X, None, validation_data=(X[:5], None), record="batches")


@case
def only_add_loss_from_a_dataset(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices(X).batch(4)
    fit(side, compiled(AddsLoss(), None), data, None, batch_size=None)


@case
def add_loss_beside_a_loss(side: Side) -> None:
    fit(side, compiled(AddsLoss(), "mae", metrics=["mse"]), X, X, validation_data=(X[:5], X[:5]))


@case
def labels_none_with_an_own_loss(side: Side) -> None:
    class Reconstructs(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(3)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(ops.square(x - y_pred))

    fit(side, compiled(Reconstructs(), None), X, None, validation_data=(X[:5],))


class Vae(keras.Model):
    """Keras's example: samples in the forward pass, with a train step and trackers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = layers.Dense(4)
        self.decode = layers.Dense(3)
        self.generator = keras.random.SeedGenerator(7)
        self.total = keras.metrics.Mean(name="loss")
        self.kl = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.total, self.kl]

    def call(self, x):
        mean, log_variance = ops.split(self.encode(x), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.generator)
        return self.decode(mean + ops.exp(0.5 * log_variance) * noise), mean, log_variance

    def losses_of(self, x):
        decoded, mean, log_variance = self(x)
        kl = -0.5 * ops.mean(1 + log_variance - ops.square(mean) - ops.exp(log_variance))
        return ops.mean(ops.square(x - decoded)) + kl, kl

    def tracked(self, total, kl):
        self.total.update_state(total)
        self.kl.update_state(kl)
        return {m.name: m.result() for m in self.metrics}

    def train_step(self, x):
        with tf.GradientTape() as tape:
            total, kl = self.losses_of(x)
        self.optimizer.apply(tape.gradient(total, self.trainable_weights), self.trainable_weights)
        return self.tracked(total, kl)

    def test_step(self, x):
        return self.tracked(*self.losses_of(x))


@case
def vae(side: Side) -> None:
    model = Vae()
    model.compile(optimizer="adam")
    data = tf.data.Dataset.from_tensor_slices(X).batch(4)
    fit(side, model, data, None, batch_size=None, validation_data=data, record="batches")


class Gan(keras.Model):
    """Two networks with an optimizer each, and a `compile` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
        self.critic = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(1)]
        )
        self.noise = keras.random.SeedGenerator(9)

    def compile(self, d_optimizer: Any, g_optimizer: Any) -> None:
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer

    def train_step(self, data):
        noise = keras.random.normal((ops.shape(data[0])[0], 2), seed=self.noise)
        with tf.GradientTape() as tape:
            fake, real = self.critic(self.generator(noise)), self.critic(data[0])
            d_loss = ops.mean(ops.softplus(fake) + ops.softplus(-real))
        weights = self.critic.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            g_loss = ops.mean(ops.softplus(-self.critic(self.generator(noise))))
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


@case
def gan_with_two_optimizers(side: Side) -> None:
    model = Gan()
    model.compile(sgd(0.05), keras.optimizers.Adam(0.05))
    fit(side, model, X, Y)
    for optimizer in (model.d_optimizer, model.g_optimizer):
        side.note("own optimizer", [np.array(v) for v in optimizer.variables])


@case
def a_model_without_any_weight_of_its_own(side: Side) -> None:
    """A loss on what an inner, trained model gives."""
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)])

    class Wrapper(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    fit(side, compiled(Wrapper()))
    side.note("inner", inner.get_weights())
