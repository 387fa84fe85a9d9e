"""Trainings that differ in numbers alone share their compiled programs, and train as if they did not."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.callbacks.callback_list import CallbackList
from trainkit.config import ClipConfig, EmaConfig, OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.metrics.units import InTargetUnit, InUnits
from trainkit.trainer.fit_loop import FitLoop
from trainkit.trainer.program_pool import ProgramPool
from trainkit.trainer.trainer import Trainer

CONFIG = TrainerConfig(epochs=2, batch_size=16, execution="epoch")
TOY = Toy(n=64)  # whole batches alone, which are traced once


@dataclass(frozen=True)
class Normalized(Toy):
    """The statistics of the training rows are constants of the model."""

    def model(self, train: Any) -> keras.Model:
        scale = keras.layers.Normalization(mean=train.x.mean(0), variance=train.x.var(0))
        layers = [keras.Input((6,)), scale, keras.layers.Dense(8, "relu"), keras.layers.Dropout(self.dropout)]
        return keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])


@dataclass(frozen=True)
class Adapted(Toy):
    """A layer of the model learns the statistics of the training rows while the model is built."""

    def model(self, train: Any) -> keras.Model:
        scale = keras.layers.Normalization()
        scale.adapt(train.x)
        layers = [keras.Input((6,)), scale, keras.layers.Dense(8, "relu"), keras.layers.Dropout(self.dropout)]
        return keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])


@dataclass(frozen=True)
class Drawn(Toy):
    """The model starts with numbers of a generator of TensorFlow, which only a new seed begins anew."""

    def model(self, train: Any) -> keras.Model:
        start = keras.initializers.Constant(tf.random.normal([6, 8], seed=5).numpy().tolist())
        hidden = keras.layers.Dense(8, "relu", kernel_initializer=start)
        layers = [keras.Input((6,)), hidden, keras.layers.Dropout(self.dropout)]
        return keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])


@dataclass(frozen=True)
class InTheirUnit(Normalized):
    """A number, with its error in a unit of the training rows, which a fold has of its own."""

    def data(self) -> Splits:
        splits = super().data()
        numbers = {part: replace(a, y=a.x[:, :1] * 3) for part, a in splits.in_memory().items()}
        return replace(splits, **numbers)

    def model(self, train: Any) -> keras.Model:
        scale = keras.layers.Normalization(mean=train.x.mean(0), variance=train.x.var(0))
        object.__setattr__(self, "unit", float(train.y.std()))
        return keras.Sequential([keras.Input((6,)), scale, keras.layers.Dense(1)])

    def loss(self) -> Any:
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[Any]:
        unit = getattr(self, "unit", 1.0)
        error = InUnits(keras.losses.mean_absolute_error, unit, "mae", offset=unit)
        return [error, InTargetUnit(keras.metrics.MeanSquaredError(), scale=unit, center=unit)]


def train(pool: ProgramPool, *arguments: Any) -> tuple[list[np.ndarray], Any]:
    """The weights after a training by the pool's program, and the program's cache."""
    setup, cache = pool.setup(*arguments)
    FitLoop(setup, cache, CallbackList([], setup.state, setup.direction), lambda: None).run()
    return [v.numpy() for v in setup.state.groups["model"]], cache


def compare(
    first: Sequence[Any], second: Sequence[Any], values: Sequence[str] = (), *, to_the_bit: bool = True
) -> None:
    """The second training shares the program of the first, and ends as if it had been alone.

    Args:
        to_the_bit: Also compare with the same program alone, not only with that of a `Trainer`, which rounds
            otherwise.
    """
    pool = ProgramPool(values)
    _, cache = train(pool, *first)
    shared, same = train(pool, *second)
    assert same is cache
    assert [program.traces for program in cache.programs] == [1]
    assert cache.step_seconds > 0, "the next training knows how much a call may run"
    if to_the_bit:
        alone, _ = train(ProgramPool(values), *second)
        for a, b in zip(shared, alone, strict=True):
            np.testing.assert_array_equal(a, b)
    task, config, optimizer, *_ = second
    trainer = Trainer(config, optimizer=optimizer)
    trainer.fit(task)
    for a, v in zip(shared, trainer.state.groups["model"], strict=True):
        np.testing.assert_allclose(a, v.numpy(), rtol=2e-5, atol=2e-6)


def adam(**settings: Any) -> OptimizerConfig:
    return OptimizerConfig(name="adam", **settings)


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["epoch", "epoch_xla"])
def test_rates_seeds_and_statistics_are_shared(execution: str) -> None:
    config = replace(CONFIG, execution=execution, epochs=3)
    first = (Normalized(dropout=0.5), config, adam(learning_rate=1e-3))
    second = (Normalized(dropout=0.2), replace(config, seed=7, epochs=4), adam(learning_rate=0.02))
    compare(first, second)


@pytest.mark.slow
def test_models_that_adapt_or_draw_while_they_are_built_start_as_they_do_alone() -> None:
    for kind in (Adapted, Drawn):
        first = (kind(dropout=0.5), CONFIG, adam(learning_rate=1e-3))
        compare(first, (kind(dropout=0.2), CONFIG, adam(learning_rate=0.02)))


OPTIMIZERS = [
    ("momentum", {"momentum": 0.5}, {"momentum": 0.8}),
    ("rmsprop", {"rho": 0.5, "momentum": 0.1}, {"rho": 0.95, "momentum": 0.3}),
    (
        "adam",
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5},
    ),
    ("adamw", {"beta_1": 0.5, "weight_decay": 0.1}, {"beta_1": 0.9, "weight_decay": 0.01}),
    ("nadam", {"beta_1": 0.5, "beta_2": 0.9}, {"beta_1": 0.9, "beta_2": 0.99}),
    ("adamax", {"beta_1": 0.5, "beta_2": 0.9}, {"beta_1": 0.9, "beta_2": 0.99}),
    ("adadelta", {"rho": 0.5, "epsilon": 1e-3}, {"rho": 0.9, "epsilon": 1e-5}),
    ("lion", {"beta_1": 0.5, "beta_2": 0.9}, {"beta_1": 0.9, "beta_2": 0.99}),
    ("lamb", {"beta_1": 0.5, "epsilon": 1e-3}, {"beta_1": 0.9, "epsilon": 1e-5}),
]


@pytest.mark.in_parts(3)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first", "second"),
    OPTIMIZERS,
    ids=[f"{name}-{'-'.join(values)}" for name, values, _ in OPTIMIZERS],
)
def test_values_of_an_optimizer_are_shared(
    name: str, first: dict[str, float], second: dict[str, float]
) -> None:
    def optimizer(options: dict[str, float]) -> OptimizerConfig:
        return OptimizerConfig(name=name, learning_rate=0.01, options=options)

    one, other = (TOY, CONFIG, optimizer(first)), (TOY, CONFIG, optimizer(second))
    compare(one, other, list(first), to_the_bit=False)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["norm", "global_norm", "value"])
def test_clipping_and_averaging_are_shared(way: str) -> None:
    def optimizer(limit: float, momentum: float) -> OptimizerConfig:
        return adam(clip=ClipConfig(**{way: limit}), ema=EmaConfig(enabled=True, momentum=momentum))

    names = ("clipnorm", "global_clipnorm", "clipvalue", "ema_momentum")
    one, other = (TOY, CONFIG, optimizer(0.01, 0.5)), (TOY, CONFIG, optimizer(0.1, 0.9))
    compare(one, other, names, to_the_bit=False)


@pytest.mark.slow
def test_a_regularizer_is_shared_and_another_structure_is_not() -> None:
    compare((Toy(l2=0.1), CONFIG, adam()), (Toy(l2=0.01), CONFIG, adam()))
    pool = ProgramPool()
    _, cache = pool.setup(Toy(), CONFIG, adam())
    assert pool.setup(Toy(), CONFIG, adam())[1] is cache
    for other in (
        (Toy(l2=0.1), CONFIG, adam()),
        (Toy(dropout=0.1), CONFIG, adam()),
        (Toy(), replace(CONFIG, batch_size=8), adam()),
        (Toy(), CONFIG, OptimizerConfig(name="sgd")),
        (Toy(), CONFIG, adam(options={"beta_1": 0.5})),  # not among the values of this pool
    ):
        assert pool.setup(*other)[1] is not cache


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Normalized, Adapted])
def test_other_rows_are_trained_and_predicted(kind: Any) -> None:
    """The statistics of the rows at hand hold, in training and in prediction."""
    pool = ProgramPool()
    data = kind(dropout=0.1).data()
    _, first = train(pool, kind(dropout=0.1), CONFIG, adam(), data)
    moved = replace(data.train, x=data.train.x * 3 + 1)
    other = Splits(moved, data.validation, data.test)
    shared, cache = train(pool, kind(dropout=0.1), CONFIG, adam(), other)
    assert cache is first
    rows = next(iter(cache.predicted_batches(moved.x, 75)))
    alone, alone_cache = train(ProgramPool(), kind(dropout=0.1), CONFIG, adam(), other)
    for a, b in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(rows, next(iter(alone_cache.predicted_batches(moved.x, 75))))
    trainer = Trainer(CONFIG, optimizer=adam())
    trainer.fit(kind(dropout=0.1), data=other)
    np.testing.assert_allclose(rows, trainer.predict(moved.x), rtol=1e-4, atol=1e-5)
    constant = ProgramPool(constants=True)
    assert (
        train(constant, kind(), CONFIG, adam(), data)[1]
        is not train(constant, kind(), CONFIG, adam(), other)[1]
    )


def test_a_fold_validates_in_its_own_unit_and_is_saved_with_its_own_statistics() -> None:
    pool = ProgramPool()
    whole = InTheirUnit().data()
    fold = Splits(replace(whole.train, x=whole.train.x * 2 + 1, y=whole.train.y * 5), whole.validation)
    found = []
    for by, data in ((pool.setup, whole), (pool.setup, fold), (ProgramPool().setup, fold)):
        trainer = Trainer(CONFIG)
        trainer.prepare(InTheirUnit(), data=data, by=by)
        history = trainer.fit(trainer.setup.task)
        found.append((history.history, trainer.model.get_config()["layers"][1]["config"]["mean"]))
    (_, first), (lent, second), (alone, third) = found
    assert first != second == third
    assert lent == alone
    unit = float(fold.train.y.std())
    expected = np.array(lent["val_loss"]) * unit**2
    np.testing.assert_allclose(lent["val_mean_squared_error"], expected, rtol=1e-5)


def test_values_that_stay_constants_are_trained_to_the_bit() -> None:
    pool = ProgramPool(size=2, constants=True)
    weights: list[list[np.ndarray]] = []
    caches = []
    for seed, rate in ((0, 0.5), (7, 0.5), (7, 0.2)):
        found, cache = train(pool, Normalized(dropout=rate), replace(CONFIG, seed=seed), adam())
        pool.let_rows_go()
        caches.append(cache)
        weights.append(found)
    assert caches[0] is caches[1] is not caches[2]
    for found, (seed, rate) in zip(weights[1:], ((7, 0.5), (7, 0.2)), strict=True):
        trainer = Trainer(replace(CONFIG, seed=seed), optimizer=adam())
        trainer.fit(Normalized(dropout=rate))
        for a, v in zip(found, trainer.state.groups["model"], strict=True):
            np.testing.assert_array_equal(a, v.numpy())


def test_a_model_that_a_callback_changed_is_not_lent() -> None:
    pool = ProgramPool(constants=True)
    setup, cache = pool.setup(TOY, CONFIG, adam())
    assert pool.setup(TOY, CONFIG, adam())[1] is cache
    setup.model.layers[0].trainable = False
    again, other = pool.setup(TOY, CONFIG, adam())
    assert other is not cache
    assert again.model.layers[0].trainable


def test_rows_that_do_not_fit_are_refused_where_programs_are_lent() -> None:
    pool = ProgramPool()
    pool.setup(TOY, CONFIG, adam())
    data = TOY.data()
    with pytest.raises(UserError, match="labels go from 1 to 3"):
        pool.setup(TOY, CONFIG, adam(), replace(data, train=replace(data.train, y=data.train.y + 1)))


def test_the_seed_holds_for_tasks_made_ready_in_several_threads() -> None:
    """By trainers and by a pool at once, each with the weights that its own seed gives."""
    task = Toy(n=64, dropout=0.2)

    def start(seed: int) -> list[np.ndarray]:
        return Trainer(batch_size=16, seed=seed).prepare(task).state.values()

    def pooled(seed: int) -> list[np.ndarray]:
        setup, _ = ProgramPool().setup(task, replace(CONFIG, seed=seed))
        return setup.state.values()

    seeds = [0, 1, 2, 0, 1, 2]
    makers = [start, start, start, pooled, pooled, pooled]
    expected = [start(seed) for seed in seeds]
    with ThreadPoolExecutor(len(seeds)) as threads:
        found = [*threads.map(lambda make, seed: make(seed), makers, seeds)]
    for one, other in zip(expected, found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
