"""Our metrics give what scikit-learn gives, in a graph and under XLA, whatever form the labels come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from trainkit.metrics import (
    F1,
    BalancedAccuracy,
    CalibrationError,
    InUnits,
    RootMeanSquaredErrorInUnits,
)
from trainkit.metrics.by_name import number_metrics

CLASSES = 5
ROWS = 203
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def many_classes(seed: int) -> Rows:
    """Labels, probabilities and whole weights; class 4 is neither true nor predicted."""
    rng = np.random.default_rng(seed)
    y = rng.choice(CLASSES, ROWS, p=[0.6, 0.2, 0.15, 0.05, 0.0])
    logits = rng.normal(size=(ROWS, CLASSES)) + 1.5 * np.eye(CLASSES)[y]
    logits[:, 4] = -9.0
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return y, scores.astype(np.float32), rng.integers(0, 4, ROWS)


def two_classes(seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, ROWS)
    scores = 1 / (1 + np.exp(-rng.normal(size=ROWS) - 1.5 * (y - 0.3)))
    return y, scores.astype(np.float32)[:, None], rng.integers(0, 4, ROWS)


def found(scores: np.ndarray) -> np.ndarray:
    return scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(int)


def expected_calibration_error(
    y: np.ndarray, scores: np.ndarray, weight: np.ndarray | None, bins: int = 15
) -> float:
    """From scikit-learn's calibration curve of the confidences; a whole weight repeats its row."""
    if weight is not None:
        y, scores = np.repeat(y, weight), np.repeat(scores, weight, axis=0)
    right = found(scores) == y
    confidence = np.concatenate([1 - scores, scores], 1).max(1) if scores.shape[1] == 1 else scores.max(1)
    accuracy, mean = calibration_curve(right, confidence, n_bins=bins)
    counts, _ = np.histogram(confidence, np.linspace(0, 1, bins + 1))
    return float((counts[counts > 0] * np.abs(accuracy - mean)).sum() / len(y))


def f1(**arguments: Any) -> Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]:
    def reference(y: np.ndarray, scores: np.ndarray, weight: np.ndarray | None) -> float:
        result = sklearn_metrics.f1_score(
            y, found(scores), sample_weight=weight, zero_division=0, **arguments
        )
        return float(np.ravel(result)[0])

    return reference


def balanced(y: np.ndarray, scores: np.ndarray, weight: np.ndarray | None) -> float:
    return float(sklearn_metrics.balanced_accuracy_score(y, found(scores), sample_weight=weight))


METRICS: dict[str, tuple[Callable[[], Any], Callable[..., float]]] = {
    "balanced accuracy": (BalancedAccuracy, balanced),
    "F1 macro": (F1, f1(average="macro")),
    "F1 micro": (lambda: F1("micro"), f1(average="micro")),
    "F1 weighted": (lambda: F1("weighted"), f1(average="weighted")),
    "F1 of a class": (lambda: F1(class_id=1), f1(average=None, labels=[1])),
    "calibration error": (CalibrationError, expected_calibration_error),
    "calibration error, 4 bins": (
        lambda: CalibrationError(bins=4),
        lambda y, scores, weight: expected_calibration_error(y, scores, weight, bins=4),
    ),
}

PARTS = (slice(0, 64), slice(64, 128), slice(128, ROWS))  # batches, the last of another size


def compiled(metric: Any, mode: str) -> Callable[..., Any]:
    """`metric.update_state` as a training calls it."""
    if mode == "eager":
        return metric.update_state
    return tf.function(metric.update_state, jit_compile=mode == "xla")


@pytest.mark.in_parts(5)
@pytest.mark.slow_but_first
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("rows", [many_classes, two_classes], ids=["many", "two"])
@pytest.mark.parametrize(("make", "reference"), METRICS.values(), ids=METRICS.keys())
def test_a_metric_equals_scikit_learn(
    make: Callable[[], Any], reference: Callable[..., float], rows: Callable[[int], Rows], mode: str
) -> None:
    metric = make()
    y, scores, weight = rows(0)
    metric.update_state(y[:1], scores[:1])  # creates the variables, as building a model does
    metric.reset_state()
    update = compiled(metric, mode)
    for part in PARTS:
        update(tf.constant(y[part]), tf.constant(scores[part]))
    assert float(metric.result()) == pytest.approx(reference(y, scores, None), abs=1e-5)
    metric.reset_state()
    for part in PARTS:
        update(tf.constant(y[part]), tf.constant(scores[part]), tf.constant(weight[part], tf.float32))
    assert float(metric.result()) == pytest.approx(reference(y, scores, weight), abs=1e-5)


@pytest.mark.parametrize(("make", "reference"), METRICS.values(), ids=METRICS.keys())
@pytest.mark.parametrize("seed", range(3))
def test_the_form_of_labels_and_weights_makes_no_difference(
    make: Callable[[], Any], reference: Callable[..., float], seed: int
) -> None:
    y, scores, weight = many_classes(seed)
    expected = reference(y, scores, weight)
    one_hot = np.eye(CLASSES, dtype=np.float32)[y]
    for labels in (y, y[:, None], y.astype(np.float32), one_hot, one_hot.astype(np.int64)):
        for weights in (weight, weight[:, None]):
            metric = make()
            metric.update_state(labels, scores, weights)
            assert float(metric.result()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("make", "reference"), METRICS.values(), ids=METRICS.keys())
def test_steps_of_sequences_count_like_rows(make: Callable[[], Any], reference: Callable[..., float]) -> None:
    y, scores, weight = (a[:200] for a in many_classes(0))
    expected = reference(y, scores, weight)
    y, scores, weight = y.reshape(20, 10), scores.reshape(20, 10, CLASSES), weight.reshape(20, 10)
    for labels in (y, y[..., None], np.eye(CLASSES)[y]):
        metric = make()
        metric.update_state(labels, scores, weight)
        assert float(metric.result()) == pytest.approx(expected, abs=1e-5)
    by_row, repeated = make(), make()
    by_row.update_state(y, scores, weight[:, 0])
    repeated.update_state(y, scores, np.repeat(weight[:, :1], 10, axis=1))
    assert float(by_row.result()) == pytest.approx(float(repeated.result()), abs=1e-6)


@pytest.mark.parametrize(("make", "_"), METRICS.values(), ids=METRICS.keys())
def test_negative_labels_do_not_count(make: Callable[[], Any], _: Any) -> None:
    y, scores, _weight = many_classes(0)
    some, without = make(), make()
    some.update_state(np.where(np.arange(ROWS) < 50, -1, y), scores)
    without.update_state(y[50:], scores[50:])
    assert float(some.result()) == pytest.approx(float(without.result()), abs=1e-6)


@pytest.mark.parametrize(("make", "_"), METRICS.values(), ids=METRICS.keys())
def test_a_metric_survives_its_config(make: Callable[[], Any], _: Any) -> None:
    metric = make()
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    y, scores, weight = many_classes(0)
    for each in (metric, again):
        each.update_state(y, scores, weight)
    assert float(again.result()) == float(metric.result())


@pytest.mark.parametrize(("make", "_"), METRICS.values(), ids=METRICS.keys())
def test_no_rows_give_0_and_no_nan(make: Callable[[], Any], _: Any) -> None:
    metric = make()
    assert float(metric.result()) == 0.0
    metric.update_state(np.zeros(0, int), np.zeros((0, CLASSES), np.float32), np.zeros(0, np.float32))
    assert float(metric.result()) == 0.0


def test_logits_give_what_their_probabilities_give() -> None:
    for rows in (many_classes, two_classes):
        y, scores, _ = rows(0)
        logits = np.log(scores) if scores.shape[1] > 1 else np.log(scores / (1 - scores))
        for of_scores, of_logits in (
            (F1(), F1(threshold=0.0)),
            (BalancedAccuracy(), BalancedAccuracy(threshold=0.0)),
            (CalibrationError(), CalibrationError(from_logits=True)),
        ):
            of_scores.update_state(y, scores)
            of_logits.update_state(y, logits)
            assert float(of_logits.result()) == pytest.approx(float(of_scores.result()), abs=1e-5)


@pytest.mark.slow
def test_keras_knows_which_value_is_better() -> None:
    """A callback of Keras finds the direction by itself, and keeps the better epoch."""
    directions: list[tuple[Any, Any]] = [(F1(), max), (BalancedAccuracy(), max), (CalibrationError(), min)]
    metrics = [metric for metric, _ in directions]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
    rng = np.random.default_rng(0)
    stopping = [keras.callbacks.EarlyStopping(f"val_{metric.name}", patience=9) for metric in metrics]
    rows = rng.normal(size=(40, 3)), rng.integers(0, CLASSES, 40)
    history = model.fit(*rows, epochs=4, validation_data=rows, verbose=0, callbacks=stopping).history
    for (metric, best), one in zip(directions, stopping, strict=True):
        assert float(one.best) == best(history[f"val_{metric.name}"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: F1("mean"), "macro, micro, weighted"),
        (lambda: CalibrationError(bins=0), "at least 1"),
        (lambda: F1(class_id=7).update_state(np.zeros(3, int), np.ones((3, 5))), "0 to 4"),
    ],
)
def test_impossible_arguments_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_errors_in_units_are_those_of_the_original_values() -> None:
    rng = np.random.default_rng(0)
    mean, std = 300.0, 20.0
    y, predicted = rng.normal(size=(2, 50, 1)).astype(np.float32)
    original, guess = y * std + mean, predicted * std + mean
    percentage = keras.losses.mean_absolute_percentage_error
    expected = {
        InUnits(keras.losses.mean_absolute_error, std): sklearn_metrics.mean_absolute_error(original, guess),
        InUnits(percentage, std, offset=mean): 100
        * sklearn_metrics.mean_absolute_percentage_error(original, guess),
        RootMeanSquaredErrorInUnits(std): sklearn_metrics.root_mean_squared_error(original, guess),
    }
    for metric, value in expected.items():
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        for each in (metric, again):
            for part in (slice(0, 30), slice(30, 50)):
                each.update_state(y[part], predicted[part])
            assert float(each.result()) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("r2", sklearn_metrics.r2_score),
        ("mae", sklearn_metrics.mean_absolute_error),
        ("mape", lambda *rows: 100 * sklearn_metrics.mean_absolute_percentage_error(*rows)),
    ],
)
def test_metrics_of_numbers_are_right_however_large_the_mean(name: str, theirs: Any, scaled: bool) -> None:
    rng = np.random.default_rng(3)
    center, scale = (1.7e9, 40.0) if scaled else (0.0, 1.0)
    y = rng.normal(size=(600, 1)) * scale + center if scaled else 101_325 + 40 * rng.normal(size=(600, 1))
    labels = ((y - center) / scale).astype(np.float32)
    outputs = (labels + (1 if scaled else 40) * rng.normal(size=labels.shape)).astype(np.float32)
    (metric,) = number_metrics([name], {"center": center, "scale": scale})
    for begin in range(0, len(y), 64):
        metric.update_state(labels[begin : begin + 64], outputs[begin : begin + 64])
    expected = theirs(*(np.float64(rows) * scale + center for rows in (labels, outputs)))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
