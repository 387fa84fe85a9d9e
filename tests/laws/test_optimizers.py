"""The user's optimizer trains as it does in plain `model.fit`, as it is and with settings that change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.replicas import CLOSE, fit_on
from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.backend import patches
from trainkit.config import EmaConfig, OptimizerConfig, ScheduleConfig
from trainkit.core.errors import UserError
from trainkit.data import order
from trainkit.optim import WarmUp
from trainkit.trainer.trainer import Trainer

Make = Callable[[], keras.optimizers.Optimizer]
SEED = 3
BATCH = 16


@dataclass(frozen=True)
class Own(Toy):
    """A task with the optimizer of a user."""

    make: Make = keras.optimizers.Adam

    def optimizer(self) -> keras.optimizers.Optimizer:
        return self.make()


@cache
def plain_fit(make: Make) -> list[np.ndarray]:
    """Weights after an epoch of `model.fit` on the rows in trainkit's order."""
    task = Toy()
    train = task.data().train
    keras.utils.set_random_seed(SEED)
    model = task.model(train)
    model.compile(make(), task.loss())
    rows = train.take(order.order(SEED, 0, len(train)))
    model.fit(rows.x, rows.y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return model.get_weights()


def ours(make: Make, optimizer: OptimizerConfig | keras.optimizers.Optimizer | None) -> list[np.ndarray]:
    """Weights after the same epoch of trainkit's loop, with Keras's own kernels."""
    trainer = Trainer(
        epochs=1,
        batch_size=BATCH,
        seed=SEED,
        execution="step",
        fast_kernels=False,
        dynamic_rows=True,
        optimizer=optimizer,
    )
    trainer.fit(Own(make=make))
    return trainer.model.get_weights()


def assert_equal_bits(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def adamw(rate: Any = 0.05, decay: float = 0.3) -> keras.optimizers.Optimizer:
    """Decays kernels alone."""
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def fast_adamw() -> keras.optimizers.Optimizer:
    return adamw(0.2)


def all_decay() -> keras.optimizers.Optimizer:
    return keras.optimizers.AdamW(0.05, weight_decay=0.3)


def falling() -> Any:
    return keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)


def averaged(rate: float = 0.05) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(rate, momentum=0.9, use_ema=True, ema_momentum=0.8)


# The recipe, settings that change it, and the optimizer that a user of `model.fit` would write for the same.
CASES: dict[str, tuple[Make, OptimizerConfig, Make]] = {
    "exclusions": (adamw, OptimizerConfig(), adamw),
    "own schedule": (lambda: adamw(falling()), OptimizerConfig(), lambda: adamw(falling())),
    "exclusions, another rate": (adamw, OptimizerConfig(learning_rate=0.2), fast_adamw),
    "exclusions, another decay": (adamw, OptimizerConfig(weight_decay=0.6), lambda: adamw(decay=0.6)),
    "own schedule, another decay": (
        lambda: adamw(falling()),
        OptimizerConfig(weight_decay=0.6),
        lambda: adamw(falling(), 0.6),
    ),
    "own schedule, warmed up": (
        lambda: adamw(falling()),
        OptimizerConfig(schedule=ScheduleConfig(warmup_steps=3)),
        lambda: adamw(WarmUp(3, falling())),
    ),
    "own schedule, replaced": (
        lambda: adamw(falling()),
        OptimizerConfig(learning_rate=0.2),
        fast_adamw,
    ),
    "own average, another rate": (averaged, OptimizerConfig(learning_rate=0.2), lambda: averaged(0.2)),
    "average": (
        lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        OptimizerConfig(ema=EmaConfig(enabled=True, momentum=0.8)),
        averaged,
    ),
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("recipe", "settings", "expected"), CASES.values(), ids=CASES.keys())
def test_an_optimizer_trains_as_in_model_fit(recipe: Make, settings: OptimizerConfig, expected: Make) -> None:
    assert_equal_bits(ours(recipe, settings), plain_fit(expected))


@pytest.mark.slow
def test_an_object_given_to_the_trainer_is_the_one_that_trains() -> None:
    given = adamw()
    assert_equal_bits(ours(keras.optimizers.SGD, given), plain_fit(adamw))
    assert int(given.iterations) == 5


def test_exclusions_make_a_difference_here() -> None:
    """Else the tests above would hold for an optimizer that forgot them."""
    kept, lost = plain_fit(adamw), plain_fit(all_decay)
    assert not all(np.array_equal(a, b) for a, b in zip(kept, lost, strict=True))


def decaying() -> keras.optimizers.Optimizer:
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    return keras.optimizers.SGD(rate, momentum=0.9)


WHOLE = partial(Toy, n=64)  # batches alone that are traced once


@dataclass(frozen=True)
class Holding(Toy):
    """A task that holds its optimizer, made before there is a strategy."""

    held: Any = None

    def optimizer(self) -> keras.optimizers.Optimizer:
        return self.held


@pytest.mark.parametrize(
    ("task", "given"),
    [
        (WHOLE, decaying),
        pytest.param(WHOLE, lambda: "sgd", marks=pytest.mark.slow),
        pytest.param(WHOLE, lambda: keras.optimizers.serialize(decaying()), marks=pytest.mark.slow),
        pytest.param(WHOLE, lambda: keras.optimizers.LossScaleOptimizer(decaying()), marks=pytest.mark.slow),
        pytest.param(lambda: Holding(n=64, held=decaying()), lambda: None, marks=pytest.mark.slow),
    ],
    ids=["object", "name", "config", "loss_scale", "held_by_the_task"],
)
def test_an_optimizer_made_outside_of_the_strategy_counts_each_step_once(task: Any, given: Any) -> None:
    one, _ = fit_on(1, task(), optimizer=given(), epochs=2)
    outside = given()
    two, _ = fit_on(2, task(), optimizer=outside, epochs=2)
    for trainer in (one, two):
        inner = patches.inner_optimizers(trainer.model.optimizer)[0]
        assert int(inner.iterations.numpy()) == trainer.state.step == 8
    assert all(
        np.abs(a - b).max() < CLOSE
        for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True)
    )
    if isinstance(outside, keras.optimizers.Optimizer):
        assert not outside.built


class Leaky(keras.optimizers.SGD):
    """Its config does not tell all that it was made with."""

    def __init__(self, learning_rate: float = 0.1, leak: float = 0.0, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.leak = leak


def stepped() -> keras.optimizers.Optimizer:
    made = keras.optimizers.SGD(0.1)
    made.build([keras.Variable(np.zeros(2))])
    return made


@pytest.mark.parametrize(("make", "words"), [(Leaky, "leaves out leak"), (stepped, "it was built")])
def test_an_optimizer_that_cannot_be_made_again_in_the_strategy_is_refused(make: Any, words: str) -> None:
    trainer = Trainer(strategy="mirrored", replicas=2, batch_size=16, optimizer=make())
    with pytest.raises(UserError, match=words):
        trainer.prepare(Toy())


def test_an_optimizer_is_trained_itself_on_one_device() -> None:
    given = decaying()
    trainer, _ = fit(Toy(), optimizer=given, epochs=1)
    assert trainer.model.optimizer is given
    assert int(given.iterations) == trainer.state.step


class InTwo(keras.Model):
    """Its own step trains the first layer by the optimizer of the task, the second one by another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Dense(3, kernel_initializer="ones")
        self.second = keras.layers.Dense(3, kernel_initializer="ones")
        self.other = keras.optimizers.SGD(0.05, momentum=0.9)

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.second.build((None, 3))
        self.other.build(self.second.trainable_variables)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        for optimizer, layer in ((self.optimizer, self.first), (self.other, self.second)):
            weights = layer.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


@dataclass(frozen=True)
class Halves(Toy):
    def model(self, train: Any) -> keras.Model:
        model = InTwo()
        model.build((None, 6))
        return model

    def loss(self) -> Any:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self) -> list[Any]:
        return []


def test_a_step_of_two_optimizers_trains_as_in_model_fit() -> None:
    task = Halves()
    model = task.model(None)
    model.compile(task.optimizer(), task.loss())
    rows = task.data().train
    model.fit(rows.x, rows.y, batch_size=75, epochs=2, verbose=0)
    trainer, _ = fit(task, batch_size=75, epochs=2)
    for a, b in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
