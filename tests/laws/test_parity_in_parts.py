"""Batches that are trained in parts are compared with `model.fit` where that is one training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.backend import devices
from trainkit.config import ParityConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.verification import parity, replicas

ACCUMULATED: dict[str, Any] = {"accumulate": 2, "batch_size": 8}
REPLICAS: dict[str, Any] = {"replicas": 2, "strategy": "mirrored", "batch_size": 16}


@dataclass(frozen=True)
class Layered(Toy):
    """With a layer before all others."""

    layer: Any = None  # makes it

    def model(self, train: Any) -> keras.Model:
        last = keras.layers.Dense(3, "softmax", kernel_regularizer="l2")
        return keras.Sequential([keras.Input((6,)), self.layer(), last])


class Shaken(keras.layers.Layer):
    """Draws by TensorFlow itself, without any state of Keras's."""

    def call(self, x: Any) -> Any:
        return x + tf.random.normal(tf.shape(x))


@pytest.mark.slow
@pytest.mark.parametrize("parts", [ACCUMULATED, REPLICAS], ids=["accumulated", "replicas"])
def test_they_are_compared_without_dropout(parts: dict[str, Any]) -> None:
    report = parity.compare(Toy(dropout=0.3, n=64), TrainerConfig(**parts), ParityConfig(epochs=1))
    assert report.passed, "\n".join(report.lines())
    assert "without dropout" in report.reason


@pytest.mark.slow
def test_statistics_over_all_replicas_are_compared() -> None:
    task = Layered(layer=keras.layers.BatchNormalization, n=64)
    report = parity.compare(task, TrainerConfig(**REPLICAS, sync_batch_norm=True), ParityConfig(epochs=1))
    assert report.passed, "\n".join(report.lines())


@dataclass(frozen=True)
class TwoOutputs(Toy):
    """Of whose losses Keras takes the mean over the batches of the validation, the last of them ragged."""

    def data(self) -> Splits:
        found = super().data()
        parts = (replace(part, y=[part.y, part.y * 2.0]) for part in (found.train, found.validation))
        return Splits(*parts)

    def model(self, train: Any) -> keras.Model:
        inputs = keras.Input((6,))
        return keras.Model(inputs, [keras.layers.Dense(1, name=name)(inputs) for name in "ab"])

    def loss(self) -> Any:
        return ["mse", "mae"]

    def metrics(self) -> Any:
        return []


@pytest.mark.parametrize("batch_size", [4, 8])
def test_validations_of_several_outputs_are_compared(batch_size: int) -> None:
    settings = TrainerConfig(accumulate=2, batch_size=batch_size)
    report = parity.compare(TwoOutputs(n=64), settings, ParityConfig(epochs=1))
    assert report.passed, "\n".join(report.lines())


class WithoutLoss(keras.Model):
    """Its own step logs no loss."""

    def train_step(self, data: Any) -> Any:
        return {"own": super().train_step(data)["loss"]}


@dataclass(frozen=True)
class Quiet(Toy):
    def model(self, train: Any) -> keras.Model:
        inputs = keras.Input((6,))
        return WithoutLoss(inputs, keras.layers.Dense(3, "softmax")(inputs))


def test_an_own_step_that_logs_no_loss_is_compared() -> None:
    report = parity.compare(Quiet(n=64), TrainerConfig(batch_size=16), ParityConfig(epochs=1))
    assert report.passed, "\n".join(report.lines())
    assert "own, every epoch" in report.differences


DIFFER: dict[str, tuple[Any, str]] = {
    "noise": (lambda: keras.layers.GaussianNoise(0.1), "draws random numbers (seed_generator"),
    "own": (Shaken, "draws random numbers, others"),
    "statistics": (keras.layers.BatchNormalization, "moving_mean, "),
}


@pytest.mark.parametrize("parts", [ACCUMULATED, REPLICAS], ids=["accumulated", "replicas"])
@pytest.mark.parametrize("layer", DIFFER)
def test_what_each_part_has_for_itself_is_not_compared(
    layer: str, parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is trained."""
    monkeypatch.setattr(parity.Trainer, "fit", None)
    made, why = DIFFER[layer]
    with pytest.raises(UserError, match="cannot be compared") as refused:
        parity.compare(Layered(layer=made), TrainerConfig(**parts))
    assert why in str(refused.value)


def test_nor_one_device_with_several_that_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity.Trainer, "fit", None)
    devices.logical_cpus(2)
    settings = replicas.comparable(TrainerConfig(batch_size=16), 2, 75)
    with pytest.raises(UserError, match="One device and several cannot be compared"):
        replicas.compare_replicas(Layered(layer=DIFFER["noise"][0]), settings, 2)
