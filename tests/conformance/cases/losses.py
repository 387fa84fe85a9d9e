"""Every kind of loss that `compile` takes: names, objects, functions, and each reduction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, losses, ops

from tests.conformance.parts import LABELS, X, Y, classifier, compiled, dense, fit, labels, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("losses")

ONE_HOT = np.eye(3, dtype="float32")[LABELS]
SIGNS = np.where(numbers(10, 3, seed=2) > 0, 1.0, -1.0).astype("float32")
WEIGHTS = np.linspace(0.0, 2.0, 10).astype("float32")

# Names that fit the same labels share a model, each with an output and a history of its own.
NAMED: dict[str, tuple[str, np.ndarray, list[str]]] = {
    "regression_names": (
        "linear",
        numbers(10, 3, seed=3),
        ["mse", "mae", "mape", "huber", "log_cosh", "cosine_similarity"],
    ),
    "positive_names": ("softplus", ONE_HOT + 0.5, ["msle", "poisson", "kl_divergence", "kld"]),
    "hinge_names": ("tanh", SIGNS, ["hinge", "squared_hinge", "categorical_hinge"]),
    "class_names": (
        "softmax",
        ONE_HOT,
        [
            "categorical_crossentropy",
            "categorical_focal_crossentropy",
            "binary_crossentropy",
            "binary_focal_crossentropy",
            "crossentropy",
            "dice",
            "tversky",
        ],
    ),
    "sparse_names": ("softmax", LABELS, ["sparse_categorical_crossentropy", "crossentropy", "ce"]),
}


def several(activation: str, y: np.ndarray, kinds: list[Any], side: Side, **given: Any) -> None:
    """A model with one output for each loss, all with the same labels."""
    inputs = keras.Input((3,))
    outputs = [layers.Dense(3, activation=activation, name=f"out_{i}")(inputs) for i in range(len(kinds))]
    model = compiled(keras.Model(inputs, outputs), list(kinds))
    fit(side, model, X, [y] * len(kinds), **given)


for name, (activation, y, kinds) in NAMED.items():
    case.add(name, partial(several, activation, y, kinds))

REDUCTIONS = ["sum", "mean", "sum_over_batch_size", "mean_with_sample_weight", "none", None]


@case
def reductions(side: Side) -> None:
    kinds = [losses.MeanSquaredError(reduction=reduction) for reduction in REDUCTIONS[:4]]
    several("linear", numbers(10, 3, seed=3), kinds, side)


@case
def reductions_of_weighted_rows(side: Side) -> None:
    kinds = [losses.MeanSquaredError(reduction=reduction) for reduction in REDUCTIONS[:4]]
    several("linear", numbers(10, 3, seed=3), kinds, side, sample_weight=WEIGHTS)


def reduced(reduction: str | None, side: Side) -> None:
    model = dense(loss=losses.MeanSquaredError(reduction=reduction), metrics=["mae"])
    fit(side, model, sample_weight=WEIGHTS, validation_data=(X[:5], Y[:5]))


case.add("reduction_by_sum", partial(reduced, "sum"))
case.add("reduction_by_weights", partial(reduced, "mean_with_sample_weight"))


@case
def no_reduction(side: Side) -> None:
    """A loss per row: its gradient is that of the sum."""
    model = dense(loss=losses.MeanSquaredError(reduction="none"))
    fit(side, model)


@case
def ignored_class(side: Side) -> None:
    """Rows of the ignored label have no loss, but count in the mean over the batch."""
    y = np.where(np.arange(10) % 3 == 0, -1, LABELS)
    model = classifier(loss=losses.SparseCategoricalCrossentropy(ignore_class=-1))
    fit(side, model, X, y)


@case
def ignored_class_of_steps(side: Side) -> None:
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    y = np.where(labels(10, 4, classes=2, seed=3) == 0, 255, labels(10, 4))
    model = keras.Sequential([keras.Input((4, 2)), layers.Dense(3)])
    fit(side, compiled(model, loss), numbers(10, 4, 2), y)


@case
def smoothed_labels_and_logits(side: Side) -> None:
    kinds = [
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        losses.CategoricalFocalCrossentropy(alpha=0.5, gamma=1.0, from_logits=True),
        losses.Huber(delta=0.3),
        losses.CosineSimilarity(axis=0),
    ]
    several("linear", ONE_HOT, kinds, side)


def gaussian_nll(y: Any, outputs: Any) -> Any:
    """Mean and log-variance in one output, which is wider than the labels."""
    mean, log_variance = ops.split(outputs, 2, axis=-1)
    return 0.5 * ops.mean(log_variance + ops.square(y - mean) / ops.exp(log_variance), axis=-1)


def quantiles(y: Any, outputs: Any) -> Any:
    """The pinball loss of three quantiles of one label."""
    share = ops.convert_to_tensor([0.1, 0.5, 0.9])
    error = y - outputs
    return ops.mean(ops.maximum(share * error, (share - 1.0) * error), axis=-1)


def scalar_loss(y: Any, outputs: Any) -> Any:
    return ops.mean(ops.square(y - outputs))


def loss_of_integers(y: Any, outputs: Any) -> Any:
    """A plain function sees integer labels as floats, and has to cast them back."""
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    picked = ops.take_along_axis(outputs, ops.expand_dims(ops.cast(y, "int32"), -1), axis=-1)
    return -ops.log(picked + 1e-6)


class Weighted(losses.Loss):
    """A loss object of the user's own."""

    def call(self, y, outputs):
        return ops.mean(ops.abs(y - outputs) * ops.convert_to_tensor([1.0, 3.0]), axis=-1)


FUNCTIONS: dict[str, Callable[[], Any]] = {
    "gaussian_likelihood": lambda: (dense(outputs=2, loss=gaussian_nll), numbers(10, 1)),
    "quantile_loss": lambda: (dense(outputs=3, loss=quantiles), numbers(10, 1)),
    "a_function_with_a_scalar_result": lambda: (dense(loss=scalar_loss), Y),
    "a_function_of_integer_labels": lambda: (classifier(loss=loss_of_integers), LABELS),
    "a_lambda": lambda: (dense(loss=lambda y, outputs: ops.square(y - outputs)), Y),
    "an_own_loss_object": lambda: (dense(loss=Weighted()), Y),
    "a_function_of_keras": lambda: (dense(loss=losses.mean_absolute_error), Y),
    "a_class_of_keras": lambda: (dense(loss=losses.MeanAbsoluteError), Y),
    "a_list_of_one": lambda: (dense(loss=["mae"]), Y),
    "labels_in_a_column": lambda: (classifier(), LABELS[:, None]),
    "labels_as_floats": lambda: (classifier(), LABELS.astype("float32")),
    "labels_of_eight_bits": lambda: (classifier(), LABELS.astype("uint8")),
    "truth_values": lambda: (dense(outputs=1, loss="binary_crossentropy"), LABELS[:, None] > 0),
    "flat_labels_for_one_output": lambda: (dense(outputs=1), numbers(10)),
}


def by_function(build: Callable[[], Any], side: Side) -> None:
    model, y = build()
    fit(side, model, X, y)


for name, build in FUNCTIONS.items():
    case.add(name, partial(by_function, build))


@case
def a_function_with_weighted_rows(side: Side) -> None:
    model, y = FUNCTIONS["quantile_loss"]()
    fit(side, model, X, y, sample_weight=WEIGHTS, validation_data=(X[:5], y[:5], WEIGHTS[:5]))


@case
def circle(side: Side) -> None:
    """Metric learning: the loss reads the labels of the whole batch."""
    embed = layers.Lambda(lambda x: ops.normalize(x))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), embed])
    fit(side, compiled(model, losses.Circle()), X, labels(10, classes=2), batch_size=5)


@case
def a_loss_that_becomes_nan(side: Side) -> None:
    """Keras trains on, and logs what it is."""
    x = X.copy()
    x[6, 1] = np.nan
    fit(side, dense(metrics=["mae"]), x, Y, record="batches")
