"""Adam as one operation a variable, where Keras's takes fifteen: the same mathematics, other rounding.

With and without XLA. Most of the time that a model takes to be traced and compiled was spent on the fifteen.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement

__all__ = ["fused_adam"]


class _Numbers:
    """What the updates of several variables have in common: it enters the graph once, not once a variable.

    Args:
        optimizer: Whose update it is.
        learning_rate: As Keras hands it over.
    """

    def __init__(self, optimizer: keras.optimizers.Adam, learning_rate: Any) -> None:
        self.given = _given(optimizer, learning_rate)
        step = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, tf.float32)
        # Not as constants: in a search, they are read from variables.
        self.beta_1 = tf.convert_to_tensor(optimizer.beta_1, tf.float32)
        self.beta_2 = tf.convert_to_tensor(optimizer.beta_2, tf.float32)
        self.powers = {"beta1_power": tf.pow(self.beta_1, step), "beta2_power": tf.pow(self.beta_2, step)}
        self.rate = tf.cast(learning_rate, tf.float32)
        self.epsilon = tf.convert_to_tensor(optimizer.epsilon, tf.float32)

    def apply(self, variable: Any, moments: tuple[Any, Any], gradient: tf.Tensor) -> None:
        first, second = (compat.resource_handle(moment) for moment in moments)
        tf.raw_ops.ResourceApplyAdam(
            var=compat.resource_handle(variable),
            m=first,
            v=second,
            **self.powers,
            lr=self.rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _given(optimizer: keras.optimizers.Adam, learning_rate: Any) -> tuple[Any, ...]:
    """What the numbers are made from: a subclass may give each variable its own."""
    graph = tf.compat.v1.get_default_graph()
    return graph, learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon


def fused_adam() -> list[Replacement]:
    """What takes the place of Adam's update, in AdamW too."""
    adam = keras.optimizers.Adam
    updates: dict[int, _Numbers] = {}

    def update_all(self: keras.optimizers.Adam, *arguments: Any) -> None:
        updates.pop(id(self), None)  # `iterations` has moved on since the last update
        all_usual(self, *arguments)

    def update_step(self: keras.optimizers.Adam, gradient: Any, variable: Any, learning_rate: Any) -> None:
        sparse = isinstance(gradient, tf.IndexedSlices)
        dense = isinstance(gradient, tf.Tensor) or (sparse and self.beta_1 > 0.0 and self.beta_2 > 0.0)
        # Keras broadcasts a gradient of another shape, which a custom gradient may have.
        fits = sparse or (dense and gradient.shape.is_compatible_with(variable.shape))
        if self.amsgrad or not dense or not fits or variable.dtype != tf.float32:
            usual(self, gradient, variable, learning_rate)
            return
        numbers = updates.get(id(self))
        given = _given(self, learning_rate)
        if numbers is None or any(a is not b for a, b in zip(numbers.given, given, strict=True)):
            numbers = updates[id(self)] = _Numbers(self, learning_rate)
        moments = compat.adam_slots(self, variable)
        if sparse:
            _add_rows(self, gradient, moments)
            gradient = tf.zeros(variable.shape, tf.float32)
        numbers.apply(variable, moments, gradient)

    usual, all_usual = adam.update_step, getattr(adam, compat.UPDATE_ALL)
    return [
        Replacement(adam, "update_step", update_step),
        Replacement(adam, compat.UPDATE_ALL, update_all),
    ]


def _add_rows(optimizer: keras.optimizers.Adam, gradient: tf.IndexedSlices, moments: tuple[Any, Any]) -> None:
    """Add rows of a gradient to the moments, so that an update by a gradient of zeros does the rest.

    That update multiplies the moments by their betas: what is added is divided by them before. A row that
    comes twice adds the sum of its squares to the second moment, as in Keras.
    """
    betas = (optimizer.beta_1, optimizer.beta_2)
    for moment, beta, values in zip(
        moments, betas, (gradient.values, tf.square(gradient.values)), strict=True
    ):
        tf.raw_ops.ResourceScatterAdd(
            resource=compat.resource_handle(moment),
            indices=gradient.indices,
            updates=tf.cast(values, tf.float32) * ((1.0 - beta) / beta),
        )
