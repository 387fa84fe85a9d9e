"""Our metrics in a training: the values of all rows that count, each once, on one device and on two
replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.config import ParityConfig, TrainerConfig
from trainkit.core.datasets import Arrays
from trainkit.metrics import (
    F1,
    BalancedAccuracy,
    CalibrationError,
    ClassAUC,
    InTargetUnit,
    InUnits,
    Precision,
    Recall,
)
from trainkit.verification import parity


class Measured(Toy):
    def metrics(self) -> list[keras.metrics.Metric]:
        return [F1(), F1(class_id=2), BalancedAccuracy(), CalibrationError()]


TWO = {"strategy": "mirrored", "replicas": 2}


@pytest.mark.parametrize("settings", [{}, pytest.param(TWO, marks=pytest.mark.slow)], ids=["one", "two"])
def test_metrics_are_those_of_the_predictions(settings: dict[str, Any]) -> None:
    trainer, history = fit(Measured(), **settings)
    values, outputs = trainer.evaluate(), trainer.predict()
    assert {"f1_macro", "val_f1_class_2", "val_balanced_accuracy", "calibration_error"} <= set(history)
    test = trainer.splits.test
    assert isinstance(test, Arrays)
    found = outputs.argmax(1)
    assert values["f1_macro"] == pytest.approx(f1_score(test.y, found, average="macro"), abs=1e-6)
    assert values["f1_class_2"] == pytest.approx(f1_score(test.y == 2, found == 2), abs=1e-6)
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(test.y, found), abs=1e-6)


@pytest.mark.parametrize("execution", [pytest.param("step", marks=pytest.mark.slow), "epoch"])
def test_metrics_are_those_of_model_fit(execution: str) -> None:
    config = TrainerConfig(batch_size=16, execution=execution)
    report = parity.compare(Measured(dropout=0.3), config, ParityConfig(epochs=2))
    assert report.worst == 0.0, report.lines()
    assert "val_f1_macro, every epoch" in report.differences


OF_CLASSES: list[Callable[[], Any]] = [
    F1,
    lambda: F1("micro"),
    Precision,
    Recall,
    BalancedAccuracy,
    CalibrationError,
    lambda: ClassAUC(3),
]
OF_NUMBERS: list[Callable[[], Any]] = [
    lambda: InUnits(keras.losses.mean_absolute_error, 9.2, "mae"),
    lambda: InTargetUnit(keras.metrics.MeanAbsoluteError(), 1.0, 9.2),
]


def labelled(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """200 labels of three classes, and probabilities."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 200)
    scores = rng.dirichlet(np.ones(3), 200) + np.eye(3)[y]
    return y, (scores / 2).astype(np.float32)


class Padded(keras.layers.Layer):
    """Gives scores, with the mask of its inputs."""

    def __init__(self, scores: np.ndarray) -> None:
        super().__init__()
        self.supports_masking = True
        self.scores = scores

    def call(self, inputs: Any) -> Any:
        return tf.constant(self.scores, tf.float32)


def padded(scores: np.ndarray, kept: np.ndarray) -> Any:
    """Scores `[B, T, K]` with a mask `[B, T]`, as a model gives them for padded rows."""
    rows = keras.layers.Masking()(tf.constant(kept[..., None], tf.float32))
    return Padded(scores)(rows)


@pytest.mark.parametrize("form", ["none", "[B]", "[B, 1]", "[B, T]", "[B, T, 1]"])
@hypothesis.settings(max_examples=8)
@given(number=st.integers(0, len(OF_CLASSES) - 1), seed=st.integers(0, 99))
def test_what_is_masked_ignored_or_weighs_nothing_does_not_count(form: str, number: int, seed: int) -> None:
    """Whatever is left out in one of these ways gives what the other steps give alone, by their weights."""
    rng = np.random.default_rng(seed)
    y, scores = labelled(seed)
    steps, kept, known = y.reshape(20, 10), rng.random((20, 10)) < 0.7, rng.random((20, 10)) < 0.8
    one_for_all = form in ("[B]", "[B, 1]")
    given_weights = rng.integers(0, 3, [20, 1 if one_for_all else 10])
    weights = {"none": None, "[B]": given_weights[:, 0], "[B, T, 1]": given_weights[..., None]}
    weight = np.broadcast_to(given_weights if form != "none" else 1, [20, 10]) * kept * known
    every, alone = OF_CLASSES[number](), OF_CLASSES[number]()
    every.update_state(
        np.where(known, steps, -1),
        padded(scores.reshape(20, 10, 3), kept),
        weights.get(form, given_weights),
    )
    counts = weight.ravel() > 0
    alone.update_state(y[counts], scores[counts], weight.ravel()[counts].astype(np.float32))
    assert float(every.result()) == pytest.approx(float(alone.result()), abs=1e-5)


@pytest.mark.parametrize("make", OF_NUMBERS)
def test_errors_in_units_take_whole_numbers_and_leave_masked_steps_out(make: Callable[[], Any]) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 9, (20, 10, 1))
    predicted, kept = rng.normal(size=(20, 10, 1)).astype(np.float32), rng.random((20, 10)) < 0.6
    every, alone = make(), make()
    every.update_state(tf.constant(y, tf.int32), padded(predicted, kept))
    alone.update_state(y[kept].astype(np.float32), predicted[kept])
    assert float(every.result()) == pytest.approx(float(alone.result()), rel=1e-5)
    alone.update_state([[1.0], [2.0]], [[2.0], [4.0]])  # lists, as Keras's metrics
