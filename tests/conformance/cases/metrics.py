"""Metrics by name, as objects and as functions, with one value, several, or a vector."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, metrics, ops

from tests.conformance.parts import LABELS, X, Y, classifier, compiled, dense, fit, labels, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("metrics")

BINARY = labels(10, 1, classes=2).astype("float32")
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
WEIGHTS = np.linspace(0.0, 2.0, 10).astype("float32")


def binary(**given: Any) -> keras.Model:
    """The probability of one class."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, activation="sigmoid")])
    return compiled(model, "binary_crossentropy", **given)


def distance(y: Any, outputs: Any) -> Any:
    """A plain function is logged by its name."""
    return ops.mean(ops.abs(y - outputs), axis=-1)


# Results are read (`+ 0`): a bare variable in the logs would show what validation left in it.


class Extremes(metrics.Metric):
    """A metric whose result is a dict: each value is logged under its key."""

    def __init__(self) -> None:
        super().__init__(name="extremes")
        self.low = self.add_variable((), "zeros", name="low")
        self.high = self.add_variable((), "zeros", name="high")

    def update_state(self, y, outputs, sample_weight=None):
        self.low.assign(ops.minimum(self.low, ops.min(outputs)))
        self.high.assign(ops.maximum(self.high, ops.max(outputs)))

    def result(self):
        return {"low": self.low + 0.0, "high": self.high + 0.0}


class Sizes(metrics.Metric):
    """A metric with a vector as its result."""

    def __init__(self) -> None:
        super().__init__(name="sizes")
        self.total = self.add_variable((2,), "zeros", name="total")

    def update_state(self, y, outputs, sample_weight=None):
        self.total.assign(self.total + ops.sum(ops.abs(outputs), axis=0))

    def result(self):
        return self.total + 0.0


class Rows(metrics.Metric):
    """Counts rows in integers."""

    def __init__(self) -> None:
        super().__init__(name="rows", dtype="int32")
        self.count = self.add_variable((), "zeros", dtype="int32", name="count")

    def update_state(self, y, outputs, sample_weight=None):
        self.count.assign(self.count + ops.shape(y)[0])

    def result(self):
        return self.count + 0


KINDS: dict[str, Callable[[], Any]] = {
    "names": lambda: (dense(metrics=["mae", "mse", "mape", "cosine_similarity"]), Y),
    "accuracy_of_one_probability": lambda: (binary(metrics=["accuracy"]), BINARY),
    "accuracy_of_integer_labels": lambda: (classifier(metrics=["acc"]), LABELS),
    "accuracy_of_one_hot_labels": lambda: (
        classifier(loss="categorical_crossentropy", metrics=["accuracy"]),
        ONE_HOT,
    ),
    "thresholds": lambda: (
        binary(metrics=[metrics.Precision(), metrics.Recall(thresholds=[0.3, 0.7]), metrics.TruePositives()]),
        BINARY,
    ),
    "curves": lambda: (
        binary(metrics=[metrics.AUC(num_thresholds=9), metrics.PrecisionAtRecall(0.5, num_thresholds=9)]),
        BINARY,
    ),
    "one_value_per_class": lambda: (
        classifier(
            loss="categorical_crossentropy", metrics=[metrics.F1Score(), metrics.F1Score("macro", name="f1")]
        ),
        ONE_HOT,
    ),
    "intersection_over_union": lambda: (
        classifier(
            metrics=[metrics.MeanIoU(3, sparse_y_pred=False), metrics.SparseTopKCategoricalAccuracy(2)]
        ),
        LABELS,
    ),
    "regression_objects": lambda: (
        dense(metrics=[metrics.RootMeanSquaredError(), metrics.R2Score(), metrics.LogCoshError()]),
        Y,
    ),
    "a_function": lambda: (dense(metrics=[distance, keras.losses.mean_squared_error]), Y),
    "a_lambda": lambda: (dense(metrics=[lambda y, outputs: ops.max(outputs, axis=-1)]), Y),
    "a_result_in_a_dict": lambda: (dense(metrics=["mae", Extremes()]), Y),
    "a_result_in_a_vector": lambda: (dense(metrics=[Sizes(), "mae"]), Y),
    "an_integer_result": lambda: (dense(metrics=[Rows()]), Y),
    "the_same_metric_twice": lambda: (dense(metrics=["mae", "mae"]), Y),
    "a_name_with_a_slash": lambda: (dense(metrics=[metrics.MeanSquaredError(name="a/b c")]), Y),
    "a_name_like_the_loss": lambda: (dense(metrics=[metrics.MeanAbsoluteError(name="loss")]), Y),
    "a_name_like_validation": lambda: (dense(metrics=[metrics.MeanAbsoluteError(name="val_mae")]), Y),
    "a_loss_as_a_metric": lambda: (dense(metrics=[keras.losses.MeanSquaredError()]), Y),
    "no_metrics_but_a_list": lambda: (dense(metrics=[]), Y),
}


def measured(build: Callable[[], Any], side: Side) -> None:
    model, y = build()
    fit(side, model, X, y, validation_data=(X[5:], y[5:]))


for name, build in KINDS.items():
    case.add(name, partial(measured, build))


@case
def weighted_and_unweighted(side: Side) -> None:
    """The same name in both lists: the weighted one is renamed."""
    model = dense(metrics=["mae"], weighted_metrics=["mae", "mse"])
    validation = X[5:], Y[5:], WEIGHTS[5:]
    history = fit(side, model, sample_weight=WEIGHTS, validation_data=validation, record="batches")
    assert "weighted_mae" in history.history


@case
def weighted_metrics_without_weights(side: Side) -> None:
    fit(side, dense(weighted_metrics=["mae"]), validation_data=(X[5:], Y[5:], WEIGHTS[5:]))


@case
def metrics_of_steps_with_a_mask(side: Side) -> None:
    model = keras.Sequential([keras.Input((4, 3)), layers.Masking(), layers.Dense(2)])
    x = numbers(10, 4, 3)
    x[::2, 1:] = 0.0
    fit(side, compiled(model, metrics=["mae"], weighted_metrics=["mse"]), x, numbers(10, 4, 2))


@case
def state_goes_over_batches_and_not_over_epochs(side: Side) -> None:
    history = fit(side, dense(metrics=[Rows()]), validation_data=(X[5:], Y[5:]), record="batches")
    assert history.history["rows"] == [10.0, 10.0]
    assert history.history["val_rows"] == [5.0, 5.0]


@case
def a_metric_object_of_the_users_after_the_training(side: Side) -> None:
    """It is updated in place: afterwards it holds what the last validation, or epoch, left in it."""
    rows, error = Rows(), metrics.MeanAbsoluteError()
    fit(side, dense(metrics=[rows, error]), validation_data=(X[5:], Y[5:]))
    side.note("rows", int(rows.result()))
    side.note("error", float(error.result()))
    other = Rows()
    fit(side, dense(metrics=[other]))
    side.note("rows without validation", int(other.result()))
