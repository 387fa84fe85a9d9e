"""Weights of rows, of steps and of classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.conformance.parts import LABELS, VALIDATION, X, Y, classifier, compiled, dense, fit, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("weights")

WEIGHTS = np.linspace(0.0, 2.0, 10).astype("float32")
CLASS_WEIGHT = {0: 0.5, 1: 1.0, 2: 3.0}
ONE_HOT = np.eye(3, dtype="float32")[LABELS]


def sparse(**given: Any) -> keras.Model:
    return classifier(metrics=["acc"], weighted_metrics=["acc"], **given)


@case
def of_rows(side: Side) -> None:
    model = dense(weighted_metrics=["mae"])
    fit(side, model, sample_weight=WEIGHTS, validation_data=(*VALIDATION, WEIGHTS[:5]), record="batches")


@case
def of_rows_in_a_column(side: Side) -> None:
    fit(side, dense(weighted_metrics=["mae"]), sample_weight=WEIGHTS[:, None])


@case
def of_rows_in_double_precision(side: Side) -> None:
    fit(side, dense(), sample_weight=WEIGHTS.astype("float64"))


@case
def of_rows_in_integers(side: Side) -> None:
    fit(side, dense(weighted_metrics=["mae"]), sample_weight=np.arange(10))


@case
def all_zero_in_a_batch(side: Side) -> None:
    weights = WEIGHTS.copy()
    weights[4:8] = 0
    fit(side, dense(weighted_metrics=["mae"]), sample_weight=weights, record="batches")


def steps(**given: Any) -> keras.Model:
    return compiled(keras.Sequential([keras.Input((4, 3)), layers.Masking(), layers.Dense(2)]), **given)


@case
def of_steps(side: Side) -> None:
    """A weight for each step of each row."""
    model = steps(weighted_metrics=["mae"])
    fit(side, model, numbers(10, 4, 3), numbers(10, 4, 2), sample_weight=numbers(10, 4, seed=3) ** 2)


@case
def of_steps_under_a_mask(side: Side) -> None:
    """Masked steps have no weight, and the mean is over the others."""
    x = numbers(10, 4, 3)
    x[::3, 2:] = 0.0
    model = steps(weighted_metrics=["mae"])
    fit(side, model, x, numbers(10, 4, 2), sample_weight=numbers(10, 4, seed=3) ** 2, record="batches")


@case
def of_rows_for_steps(side: Side) -> None:
    fit(side, steps(), numbers(10, 4, 3), numbers(10, 4, 2), sample_weight=WEIGHTS[:, None])


@case
def of_steps_by_their_weights(side: Side) -> None:
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    x = numbers(10, 4, 3)
    x[::3, 2:] = 0.0
    weights = numbers(10, 4, seed=3) ** 2
    fit(side, steps(loss=loss), x, numbers(10, 4, 2), sample_weight=weights)


@case
def of_steps_from_a_dataset(side: Side) -> None:
    rows = numbers(10, 4, 3), numbers(10, 4, 2), numbers(10, 4, seed=3) ** 2
    data = tf.data.Dataset.from_tensor_slices(rows).batch(4)
    fit(side, steps(), data, None, batch_size=None)


@case
def of_rows_from_a_dataset(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS)).batch(4)
    fit(side, dense(weighted_metrics=["mae"]), data, None, batch_size=None, validation_data=data)


@case
def of_classes(side: Side) -> None:
    """They weigh training alone: validation counts each row as one."""
    validation = X[:5], LABELS[:5]
    fit(side, sparse(), X, LABELS, class_weight=CLASS_WEIGHT, validation_data=validation, record="batches")


@case
def of_some_classes(side: Side) -> None:
    """A class that is not named weighs one."""
    fit(side, sparse(), X, LABELS, class_weight={2: 3.0})


@case
def of_one_hot_classes(side: Side) -> None:
    fit(side, classifier(loss="categorical_crossentropy"), X, ONE_HOT, class_weight=CLASS_WEIGHT)


@case
def of_classes_in_a_column(side: Side) -> None:
    fit(side, sparse(), X, LABELS[:, None].astype("float32"), class_weight=CLASS_WEIGHT)


@case
def of_two_classes(side: Side) -> None:
    y = (LABELS > 0).astype("float32")[:, None]
    model = dense(outputs=1, loss=keras.losses.BinaryCrossentropy(from_logits=True), weighted_metrics=["mae"])
    fit(side, model, X, y, class_weight={0: 0.2, 1: 2.0})


@case
def of_classes_with_a_dataset(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(4)
    fit(side, sparse(), data, None, batch_size=None, class_weight=CLASS_WEIGHT, validation_data=data)


@case
def of_classes_with_a_dataset_of_one_hot_labels(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices((X, ONE_HOT)).batch(4)
    model = classifier(loss="categorical_crossentropy")
    fit(side, model, data, None, batch_size=None, class_weight={0: 0.5, 2: 3.0})


@case
def of_classes_with_a_py_dataset(side: Side) -> None:
    class Rows(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            part = slice(4 * index, 4 * index + 4)
            return X[part], LABELS[part]

    fit(side, sparse(), Rows(), None, batch_size=None, class_weight=CLASS_WEIGHT)


@case
def of_classes_with_a_split(side: Side) -> None:
    fit(side, sparse(), X, LABELS, class_weight=CLASS_WEIGHT, validation_split=0.3)


@case
def of_rows_with_a_split(side: Side) -> None:
    """The split takes its weights along."""
    fit(side, dense(weighted_metrics=["mae"]), sample_weight=WEIGHTS, validation_split=0.3)


@case
def of_classes_that_never_occur(side: Side) -> None:
    fit(side, sparse(), X, LABELS, class_weight={0: 0.5, 9: 7.0})
