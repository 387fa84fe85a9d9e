"""Compiled programs are shared only by trainings of which all that a program depends on is known."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.backend.traced_values import TracedValues
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


layers = keras.layers
REGULARIZED = {
    "Dense": (lambda **r: layers.Dense(2, **r), (4,)),
    "EinsumDense": (lambda **r: layers.EinsumDense("ab,bc->ac", 2, bias_axes="c", **r), (4,)),
    "Embedding": (lambda **r: layers.Embedding(5, 2, **r), (4,)),
    "Conv1D": (lambda **r: layers.Conv1D(2, 2, **r), (4, 2)),
    "Conv2DTranspose": (lambda **r: layers.Conv2DTranspose(2, 2, **r), (4, 4, 2)),
    "DepthwiseConv1D": (lambda **r: layers.DepthwiseConv1D(2, **r), (4, 2)),
    "SeparableConv1D": (lambda **r: layers.SeparableConv1D(2, 2, **r), (4, 2)),
    "BatchNormalization": (lambda **r: layers.BatchNormalization(**r), (4,)),
    "LayerNormalization": (lambda **r: layers.LayerNormalization(**r), (4,)),
    "GroupNormalization": (lambda **r: layers.GroupNormalization(2, **r), (4, 4)),
    "PReLU": (lambda **r: layers.PReLU(**r), (4,)),
    "SimpleRNN": (lambda **r: layers.SimpleRNN(2, **r), (4, 2)),
    "GRU": (lambda **r: layers.GRU(2, **r), (4, 2)),
    "LSTM": (lambda **r: layers.LSTM(2, **r), (4, 2)),
    "ConvLSTM1D": (lambda **r: layers.ConvLSTM1D(2, 2, **r), (3, 4, 2)),
}


def regularized() -> list[tuple[str, str]]:
    """Each argument of each of these layers that is a regularizer, but for one that Keras passes over."""
    names = {kind: inspect.signature(getattr(layers, kind)).parameters for kind in REGULARIZED}
    pairs = [(kind, name) for kind, found in names.items() for name in found if name.endswith("regularizer")]
    return [pair for pair in pairs if pair != ("SimpleRNN", "activity_regularizer")]


@pytest.mark.parametrize(("kind", "argument"), regularized())
def test_a_factor_of_any_regularizer_is_a_value(kind: str, argument: str) -> None:
    """Also around the layer, and given to a variable."""
    make, shape = REGULARIZED[kind]
    rows = keras.Input(shape)
    factors = []
    for factor in (0.25, 0.5):
        inner = make(**{argument: keras.regularizers.L2(factor)})
        outer = layers.TimeDistributed(make(**{argument: keras.regularizers.L2(factor)}))
        inner(rows), outer(keras.Input((2, *shape)))
        inner.variables[0].regularizer = keras.regularizers.L1(factor * 3)
        model = keras.Model(rows, inner(rows))
        factors.append([float(value) for value in TracedValues.values_of(model, None)])
        around = keras.Sequential([keras.Input((2, *shape)), outer])
        factors[-1].append(sum(float(value) for value in TracedValues.values_of(around, None)))
    small, large = np.array(factors)
    assert {0.25, 0.75} <= set(small)
    np.testing.assert_array_equal(small * 2, large)


@dataclass(frozen=True)
class Embedded(Toy):
    """A factor of a layer that has no kernel."""

    def model(self, train: Any) -> keras.Model:
        table = layers.Embedding(8, 2, embeddings_regularizer=keras.regularizers.L2(self.l2))
        places = layers.Discretization([-1.0, 0.0, 1.0])
        head = layers.Dense(3, activation="softmax")
        return keras.Sequential([keras.Input((6,)), places, table, layers.Flatten(), head])


@pytest.mark.parametrize("constants", [False, True])
def test_a_factor_of_an_embedding_is_that_of_each_training(constants: bool) -> None:
    def trained(pool: ProgramPool | None, l2: float) -> list[float]:
        trainer = Trainer(CONFIG)
        trainer.prepare(Embedded(n=64, l2=l2), **({} if pool is None else {"by": pool.setup}))
        return list(trainer.fit(trainer.setup.task).history["loss"])

    pool = ProgramPool(constants=constants)
    first, second = trained(pool, 0.001), trained(pool, 10.0)
    np.testing.assert_allclose(second, trained(None, 10.0), rtol=1e-5)
    assert second[0] > first[0] + 0.01


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
