"""Every optimizer of Keras, and each thing that one can be told to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops, optimizers
from keras.optimizers import schedules

from tests.conformance.parts import VALIDATION, X, Y, compiled, dense, fit, numbers, sgd
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("optimizers")

KINDS: dict[str, Callable[[], Any]] = {
    "by_name": lambda: "adam",
    "sgd": lambda: optimizers.SGD(0.1),
    "nesterov": lambda: sgd(nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda: optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adamax": lambda: optimizers.Adamax(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "lamb": lambda: optimizers.Lamb(0.01),
    "adafactor": lambda: optimizers.Adafactor(0.05),
    "muon": lambda: optimizers.Muon(0.05),
    "schedule_free_adamw": lambda: optimizers.ScheduleFreeAdamW(0.01),
    "weight_decay": lambda: sgd(weight_decay=0.1),
    "clip_by_norm": lambda: sgd(clipnorm=0.1),
    "clip_by_global_norm": lambda: sgd(global_clipnorm=0.1),
    "clip_by_value": lambda: sgd(clipvalue=0.05),
    "ema": lambda: sgd(use_ema=True, ema_momentum=0.5),
    "ema_that_overwrites_every_second_step": lambda: sgd(
        use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "a_loss_scale_factor": lambda: sgd(loss_scale_factor=8.0),
    "own_loss_scale_optimizer": lambda: optimizers.LossScaleOptimizer(sgd(), dynamic_growth_steps=2),
    "exponential_decay": lambda: sgd(schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)),
    "cosine_decay": lambda: sgd(schedules.CosineDecay(0.01, 4, warmup_target=0.1, warmup_steps=2)),
    "piecewise_constant": lambda: sgd(schedules.PiecewiseConstantDecay([1, 4], [0.1, 0.05, 0.01])),
    "a_callable_rate": lambda: optimizers.SGD(lambda: 0.05),
}


def trains_with(build: Callable[[], Any], side: Side) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    fit(side, compiled(model, optimizer=build()))


for kind, build in KINDS.items():
    case.add(kind, partial(trains_with, build))


@case
def accumulation_of_two(side: Side) -> None:
    """Six batches: the third update holds half of either epoch."""
    fit(side, dense(optimizer=sgd(gradient_accumulation_steps=2)), record="batches")


@case
def accumulation_by_adam(side: Side) -> None:
    """Which counts its updates, and not the batches."""
    adam = keras.optimizers.Adam(0.05, gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=2)
    fit(side, dense(optimizer=adam))


@case
def accumulation_that_the_training_leaves_half_way(side: Side) -> None:
    optimizer = keras.optimizers.Adam(0.05, gradient_accumulation_steps=4)
    model = dense(optimizer=optimizer)
    fit(side, model)
    fit(side, model)


@case
def decay_that_spares_some_weights(side: Side) -> None:
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    model = dense(layers.BatchNormalization(), optimizer=optimizer)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.exclude_from_weight_decay(var_list=[model.layers[-1].kernel])
    fit(side, model, epochs=3)


def several_optimizers(side: Side) -> None:
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, activation="tanh", name="slow")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="fast")(hidden))
    table = optimizers.OptimizerMap(
        default_optimizer=sgd(0.1), optimizer_map={"slow/.*": optimizers.Adam(0.001)}
    )
    fit(side, compiled(model, optimizer=optimizers.MultiOptimizer(table)))


if hasattr(optimizers, "MultiOptimizer"):  # Keras has it from 3.15 on
    case(several_optimizers)


class Warmup(schedules.LearningRateSchedule):
    """A schedule of the user's own."""

    def __call__(self, step):
        return 0.1 * ops.minimum(1.0, (ops.cast(step, "float32") + 1.0) / 4.0)


@case
def an_own_schedule(side: Side) -> None:
    fit(side, dense(optimizer=sgd(Warmup())), record="batches")


@case
def an_optimizer_that_was_built_before(side: Side) -> None:
    model = dense(optimizer=keras.optimizers.Adam(0.05))
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(7)
    fit(side, model)


@case
def a_rate_set_between_two_trainings(side: Side) -> None:
    model = dense()
    fit(side, model)
    model.optimizer.learning_rate = 0.01
    fit(side, model)
    model.optimizer.learning_rate.assign(0.02)
    fit(side, model)


@case
def one_optimizer_for_two_models_of_the_same_weights(side: Side) -> None:
    """The second model shares the first one's layers, and goes on with its moments."""
    optimizer = sgd()
    model = dense(optimizer=optimizer)
    fit(side, model)
    twin = keras.Sequential(model.layers)
    twin.compile(optimizer, "mae")
    fit(side, twin)


@case
def loss_scale_that_overflows(side: Side) -> None:
    """Steps with infinite gradients are skipped: the scale halves, and the inner count stands still."""
    optimizer = optimizers.LossScaleOptimizer(sgd(0.01), initial_scale=2.0**120, dynamic_growth_steps=3)
    x = X.copy()
    x[5] = 1e20
    fit(side, dense(optimizer=optimizer), x, Y, epochs=3, record="batches")


@case
def a_half_precision_policy(side: Side) -> None:
    """`compile` wraps the optimizer in one that scales the loss."""
    keras.config.set_dtype_policy("mixed_float16")
    model = dense(layers.Dropout(0.2), optimizer=sgd(0.01))
    assert isinstance(model.optimizer, optimizers.LossScaleOptimizer)
    fit(side, model, validation_data=VALIDATION, record="batches")


@case
def a_bfloat16_policy(side: Side) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    fit(side, dense(layers.BatchNormalization(), metrics=["mae"]), validation_data=VALIDATION)


@case
def layers_of_other_types(side: Side) -> None:
    """A policy per layer, and a model in float64."""
    mixed = dense(layers.Dense(4, dtype="mixed_bfloat16"), layers.Dense(4, dtype="float64"))
    fit(side, mixed)
    inputs = keras.Input((3,), dtype="float64")
    model = keras.Model(inputs, layers.Dense(2, dtype="float64")(inputs))
    fit(side, compiled(model), X.astype("float64"), Y.astype("float64"))


@case
def a_weight_that_gets_no_gradient(side: Side) -> None:
    """Keras warns and leaves it alone."""
    inputs = keras.Input((3,))
    used = layers.Dense(2, name="used")(inputs)
    unused = layers.Dense(2, name="unused")(inputs)
    model = compiled(keras.Model(inputs, [used, unused]), ["mse", None])
    fit(side, model, X, [Y, numbers(10, 2)])


@case
def rates_of_zero(side: Side) -> None:
    model = dense(layers.BatchNormalization(), optimizer=sgd(0.0))
    before = np.array(model.layers[0].kernel)
    fit(side, model)
    assert np.array_equal(before, np.array(model.layers[0].kernel))
