"""Compiled programs are shared only by trainings of which all that a program depends on is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.trainer.program_pool import ProgramPool
from trainkit.trainer.trainer import Trainer

CONFIG = TrainerConfig(epochs=2, batch_size=16, execution="epoch")


def closure(factor: float) -> Any:
    def scaled(*values: Any) -> Any:
        return keras.ops.mean(values[-1]) * factor if len(values) > 1 else values[0] * factor

    return scaled


def own_schedule(rate: float) -> Any:
    class Own(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return rate

        def get_config(self) -> dict[str, Any]:
            return {}

    return Own()


def without_decay_of(names: list[str]) -> Any:
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=names)
    return optimizer


@dataclass(frozen=True)
class Brought(Toy):
    """A model, metric or optimizer with something of which a config tells the name alone."""

    kind: str = ""
    factor: float = 1.0

    def model(self, train: Any) -> keras.Model:
        own = closure(self.factor)
        more = {"activation": {"activation": own}, "regularizer": {"kernel_regularizer": own}}
        hidden = keras.layers.Dense(8, **more.get(self.kind, {}))
        recurrent = keras.layers.SimpleRNN(8, activation=own if self.kind == "cell" else "tanh")
        named = f"head{self.factor}" if self.kind == "name" else None
        middle = [hidden, keras.layers.Reshape((8, 1)), recurrent]
        head = keras.layers.Dense(3, activation="softmax", name=named)
        return keras.Sequential([keras.Input((6,)), *middle, head])

    def metrics(self) -> list[Any]:
        own = closure(self.factor)
        return [keras.metrics.MeanMetricWrapper(own, "own")] if self.kind == "metric" else []

    def optimizer(self) -> keras.optimizers.Optimizer:
        if self.kind == "schedule":
            return keras.optimizers.Adam(own_schedule(self.factor))
        if self.kind == "decay":
            return without_decay_of(["kernel" if self.factor == 1 else "bias"])
        if self.kind == "scale":
            return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=self.factor)
        return super().optimizer()


KINDS = ("activation", "regularizer", "cell", "metric", "name", "schedule", "decay", "scale")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_config_leaves_out_is_never_shared(kind: str) -> None:
    pool = ProgramPool(constants=True)
    first, cache = pool.setup(Brought(kind=kind, factor=1.0), CONFIG)
    other, own = pool.setup(Brought(kind=kind, factor=2.0), CONFIG)
    assert own is not cache
    assert other.model is not first.model


@dataclass(frozen=True)
class LookedUp(Toy):
    """Words whose places in a vocabulary the model learns from the training rows."""

    first: int = 0
    words: bool = False

    def data(self) -> Splits:
        numbers = np.arange(self.first, self.first + 3)
        y = np.arange(self.n) % 3
        x = numbers[y][:, None]
        return Splits(Arrays(x.astype(str) if self.words else x, y))

    def model(self, train: Any) -> keras.Model:
        lookup = keras.layers.TextVectorization(8, output_mode="multi_hot", pad_to_max_tokens=True)
        if not self.words:
            lookup = keras.layers.IntegerLookup(max_tokens=8, output_mode="multi_hot", pad_to_max_tokens=True)
        lookup.adapt(train.x)
        kind = "string" if self.words else "int64"
        head = keras.layers.Dense(3, activation="softmax")
        return keras.Sequential([keras.Input((1,), dtype=kind), lookup, head])


@pytest.mark.parametrize("words", [False, True])
def test_a_table_that_a_layer_learned_is_shared_with_those_of_equal_ones(words: bool) -> None:
    for pool in (ProgramPool(constants=True), ProgramPool()):
        _, cache = pool.setup(LookedUp(words=words), CONFIG)
        _, same = pool.setup(LookedUp(words=words), replace(CONFIG, seed=1))
        _, other = pool.setup(LookedUp(first=5, words=words), CONFIG)
        assert same is cache is not other


def test_names_that_keras_makes_up_are_shared() -> None:
    @dataclass(frozen=True)
    class Unnamed(Toy):
        def metrics(self) -> list[Any]:
            return [
                keras.metrics.MeanMetricWrapper(keras.losses.sparse_categorical_crossentropy),
            ]

    pool = ProgramPool(constants=True)
    first, cache = pool.setup(Unnamed(), CONFIG)
    second, same = pool.setup(Unnamed(), replace(CONFIG, seed=1))
    assert same is cache
    assert first.logged() == second.logged()


def test_rows_of_each_training_are_loaded_by_its_own_seed() -> None:
    @dataclass(frozen=True)
    class Drawing(Toy):
        def data(self) -> Splits:
            splits = super().data()
            x = np.random.normal(size=splits.train.x.shape).astype("float32")
            x = x + tf.random.normal(x.shape).numpy() if self.n == 64 else x
            return replace(splits, train=replace(splits.train, x=x))

    pool = ProgramPool(constants=True, loads_once=False)
    for seed, rows in ((3, 75), (4, 75), (3, 64), (4, 64)):
        config = replace(CONFIG, seed=seed)
        np.random.uniform()
        given = [pool.setup(Drawing(n=rows), config)[0].splits.train.x for _ in range(2)]
        alone = Trainer(config).prepare(Drawing(n=rows)).splits.train.x
        np.testing.assert_array_equal(given, [alone, alone])
        np.testing.assert_array_equal(ProgramPool().setup(Drawing(n=rows), config)[0].splits.train.x, alone)
