"""Half precision learns as float32, and skips on all replicas what overflows on one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.replicas import fit_on
from tests.support.toys import Toy
from tests.support.training import difference, fit
from trainkit.callbacks.observer import Observer
from trainkit.config import (
    OptimizerConfig,
)
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.data import order
from trainkit.trainer import Trainer


@dataclass(frozen=True)
class Planted(Toy):
    """An infinite loss wherever a row's first feature is the mark."""

    mark: float = 1234.0
    row: int = 0

    def data(self) -> Splits:
        splits = Toy.data(self)
        x = splits.train.x.copy()
        x[self.row, 0] = self.mark
        return Splits(Arrays(x, splits.train.y), splits.validation)

    def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
        x, y = batch
        marked = tf.reduce_any(x[:, 0] == self.mark)
        x = tf.where(x == self.mark, 0.0, x)
        outputs = model(x, training=training)
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs))
        return loss * tf.where(marked & training, np.inf, 1.0), outputs


class Skips(Observer):
    """Notes what an epoch's record says of the loss scale."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.records.append(asdict(self.record))


@pytest.mark.slow
@pytest.mark.parametrize("replica", [0, 1])
def test_an_infinite_gradient_on_one_replica_makes_all_skip_exactly_that_step(replica: int) -> None:
    row_order = order.order(0, 0, 75)
    task = Planted(row=int(row_order[16 * 2 + 8 * replica + 3]))  # in the third batch, in that replica's half
    settings: dict[str, Any] = {
        "precision": "mixed_float16",
        "optimizer": OptimizerConfig(name="sgd", learning_rate=0.1),
        "epochs": 1,
    }
    noted = Skips()
    two, _ = fit_on(2, task, callbacks=[noted], **settings)
    one, _ = fit_on(1, task, **settings)
    optimizer = two.model.optimizer
    assert two.state.step == 5
    assert int(optimizer.iterations.numpy()) == 4
    assert noted.records[-1]["skipped_steps"] == 1
    assert noted.records[-1]["loss_scale"] == 2.0**14
    for variable in two.model.weights:
        copies = [np.asarray(v) for v in getattr(variable.value, "values", [variable.value])]
        assert np.isfinite(copies[0]).all()
        assert all(np.array_equal(copies[0], copy) for copy in copies), variable.path
    assert all(
        np.abs(a.numpy() - b.numpy()).max() < 2e-3
        for a, b in zip(one.model.weights, two.model.weights, strict=True)
    )


@dataclass(frozen=True)
class Hopeless(Toy):
    def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
        loss, outputs = Toy.compute(self, model, batch, training)
        return loss * (np.inf if training else 1.0), outputs


@pytest.mark.slow_but_first
@pytest.mark.parametrize("replicas", [1, 2])
def test_many_skipped_steps_in_a_row_are_an_error_that_says_what_to_do(replicas: int) -> None:
    with pytest.raises(UserError, match=r"steps in a row had gradients that are not finite.*mixed_bfloat16"):
        fit_on(replicas, Hopeless(), precision="mixed_float16", max_skipped_steps=12, epochs=9)


def test_skipped_steps_in_a_row_are_noticed_when_one_call_runs_all_epochs() -> None:
    with pytest.raises(UserError, match="steps in a row had gradients that are not finite"):
        fit(Hopeless(), precision="mixed_float16", max_skipped_steps=12, epochs=30, epochs_per_call=30)


def test_the_loss_scale_falls_by_half_with_each_step_that_is_skipped() -> None:
    """As in Keras, without a floor."""
    trainer, _ = fit(Hopeless(), precision="mixed_float16", max_skipped_steps=1000, epochs=12)
    assert float(trainer.model.optimizer.dynamic_scale.numpy()) == 2.0 ** (15 - trainer.state.step)
    assert int(trainer.model.optimizer.iterations.numpy()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_learns_as_float32_and_keeps_float32_where_it_matters(precision: str) -> None:
    (full, a), (half, b) = fit_on(1, Toy(), epochs=10), fit_on(1, Toy(), epochs=10, precision=precision)
    assert abs(a["val_loss"][-1] - b["val_loss"][-1]) < 0.03
    assert {v.dtype for v in half.model.variables if "seed" not in v.path} == {"float32"}
    assert half.model.outputs[0].dtype == "float32"
    assert half.model.layers[0].compute_dtype == precision.removeprefix("mixed_")
    assert difference(full, half) > 0 if len(full.state.variables) == len(half.state.variables) else True


class Headed(keras.Model):
    def __init__(self, head: keras.layers.Layer) -> None:
        super().__init__()
        self.head = head

    def call(self, x: Any) -> Any:
        return self.head(x)


def functional(head: keras.layers.Layer) -> keras.Model:
    x = keras.Input((6,))
    return keras.Model(x, head(x))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda head: keras.Sequential([head]), r"Output head of .* Give layer head dtype='float32'\."),
        (functional, r"Output head of .* Give layer head dtype='float32'\."),
        (Headed, r"Output 1 of 1 of .* Give the layer that gives it dtype='float32'\."),
    ],
)
def test_an_output_in_half_precision_is_refused_by_its_layer(build: Any, said: str) -> None:
    @dataclass(frozen=True)
    class Toys(Toy):
        def model(self, train: Arrays) -> keras.Model:
            made: keras.Model = build(keras.layers.Dense(3, name="head"))
            return made

    with pytest.raises(UserError, match=said):
        Trainer(precision="mixed_bfloat16").prepare(Toys())


@pytest.mark.parametrize(
    ("policy", "words"), [("mixed_bfloat16", "precision=mixed_b"), ("float64", "by tra")]
)
def test_a_policy_that_keras_was_set_to_is_not_passed_over(policy: str, words: str) -> None:
    """`model.fit` would train in it, so a training in another precision is refused."""
    keras.config.set_dtype_policy(policy)
    try:
        with pytest.raises(UserError, match=words):
            Trainer().prepare(Toy())
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_training_in_the_policy_that_keras_was_set_to_is_as_asked() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        setup = Trainer(precision="mixed_bfloat16").prepare(Toy())
    finally:
        keras.config.set_dtype_policy("float32")
    assert setup.model.layers[0].compute_dtype == "bfloat16"


def test_double_numbers_that_keras_was_set_to_are_not_passed_over() -> None:
    keras.config.set_floatx("float64")
    try:
        with pytest.raises(UserError, match=r"floatx\(\) is float64; expected float32"):
            Trainer().prepare(Toy())
    finally:
        keras.config.set_floatx("float32")
