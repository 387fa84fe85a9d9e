"""What `model.fit` refuses: it has to be refused, and the model has to be as before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.conformance.cases.sources import Rows, batches, dataset
from tests.conformance.parts import LABELS, VALIDATION, X, Y, classifier, compiled, dense, fit, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("errors")

WEIGHTS = np.ones(10, "float32")


def two_heads() -> keras.Model:
    inputs = keras.Input((3,))
    return compiled(keras.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)]))


def uncompiled() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.Dense(2)])


def without_a_loss() -> keras.Model:
    model = uncompiled()
    model.compile("sgd")
    return model


def stateful() -> keras.Model:
    return compiled(keras.Sequential([keras.Input((2, 3), batch_size=4), layers.GRU(2, stateful=True)]))


def empty() -> Any:
    yield from ()


def of_lists() -> Any:
    yield [X[:4], Y[:4]]


def of_four() -> Any:
    yield X[:4], Y[:4], WEIGHTS[:4], WEIGHTS[:4]


# The model, and the arguments of `fit`.
REFUSALS: dict[str, tuple[Callable[[], keras.Model], Callable[[], dict[str, Any]]]] = {
    "a_model_that_was_not_compiled": (uncompiled, dict),
    "a_model_without_a_loss": (without_a_loss, dict),
    "rows_that_do_not_match": (dense, lambda: {"y": Y[:9]}),
    "rows_of_inputs_that_do_not_match": (dense, lambda: {"x": [X, X[:9]]}),
    "weights_that_do_not_match": (dense, lambda: {"sample_weight": WEIGHTS[:9]}),
    "validation_rows_that_do_not_match": (dense, lambda: {"validation_data": (X[:5], Y[:4])}),
    "class_weight_beside_sample_weight": (
        classifier,
        lambda: {"y": LABELS, "class_weight": {0: 2.0}, "sample_weight": WEIGHTS},
    ),
    "class_weight_for_several_outputs": (two_heads, lambda: {"y": [Y, Y], "class_weight": {0: 2.0}}),
    "class_weight_with_a_generator": (
        classifier,
        lambda: {"x": batches(X, LABELS), "y": None, "class_weight": {0: 2.0}},
    ),
    "class_weight_beside_weights_in_a_dataset": (
        classifier,
        lambda: {"x": dataset(X, LABELS, WEIGHTS), "y": None, "class_weight": {0: 2.0}},
    ),
    "a_split_of_a_dataset": (dense, lambda: {"x": dataset(), "y": None, "validation_split": 0.2}),
    "a_split_of_a_py_dataset": (dense, lambda: {"x": Rows(), "y": None, "validation_split": 0.2}),
    "a_split_of_a_generator": (dense, lambda: {"x": batches(), "y": None, "validation_split": 0.2}),
    "a_split_that_leaves_nothing_to_train": (dense, lambda: {"validation_split": 1.0}),
    "a_split_that_leaves_nothing_to_validate": (
        dense,
        lambda: {"validation_split": 0.01, "x": X[:1], "y": Y[:1]},
    ),
    "labels_beside_a_dataset": (dense, lambda: {"x": dataset()}),
    "labels_beside_a_py_dataset": (dense, lambda: {"x": Rows()}),
    "labels_beside_a_generator": (dense, lambda: {"x": batches()}),
    "weights_beside_a_dataset": (dense, lambda: {"x": dataset(), "y": None, "sample_weight": WEIGHTS}),
    "weights_beside_a_py_dataset": (dense, lambda: {"x": Rows(), "y": None, "sample_weight": WEIGHTS}),
    "weights_of_another_structure": (two_heads, lambda: {"y": [Y, Y], "sample_weight": [WEIGHTS]}),
    "weights_of_steps_for_several_outputs": (
        two_heads,
        lambda: {"y": [Y, Y], "sample_weight": numbers(10, 3)},
    ),
    "text_as_data": (dense, lambda: {"x": "rows.csv"}),
    "a_number_as_data": (dense, lambda: {"x": 3}),
    "plain_lists_as_data": (dense, lambda: {"x": X.tolist(), "y": Y.tolist()}),
    "a_plain_iterator": (dense, lambda: {"x": iter([(X, Y)]), "y": None}),
    "an_empty_generator": (dense, lambda: {"x": empty(), "y": None}),
    "a_generator_of_lists": (dense, lambda: {"x": of_lists(), "y": None}),
    "a_generator_of_four_parts": (dense, lambda: {"x": of_four(), "y": None}),
    "inputs_of_another_width": (dense, lambda: {"x": X[:, :2]}),
    "labels_of_another_width": (dense, lambda: {"y": numbers(10, 5)}),
    "validation_of_another_width": (dense, lambda: {"validation_data": (X[:5, :2], Y[:5])}),
    "too_few_labels": (two_heads, lambda: {"y": [Y]}),
    "labels_that_are_missing": (dense, lambda: {"y": None}),
    "text_labels": (classifier, lambda: {"y": np.array(["a", "b"] * 5)}),
    "a_loss_that_is_unknown": (lambda: dense(loss="no_such_loss"), dict),
    "a_metric_that_is_unknown": (lambda: dense(metrics=["no_such_metric"]), dict),
    "metrics_that_are_no_list": (lambda: dense(metrics="mae"), dict),
    "a_stateful_layer_with_a_rest": (stateful, lambda: {"x": numbers(10, 2, 3), "y": numbers(10, 2)}),
    "an_unbatched_dataset": (
        dense,
        lambda: {"x": tf.data.Dataset.from_tensor_slices((X, Y)), "y": None},
    ),
    "an_unknown_argument": (dense, lambda: {"validation_fraction": 0.2}),
    "a_callback_that_is_none": (dense, lambda: {"callbacks": [object()]}),
    "an_argument_that_is_no_number": (dense, lambda: {"epochs": "two"}),
}

# Keras notices these after some training: then the weights have moved, and only the refusal counts.
LATE = {
    "validation_of_another_width",
    "validation_rows_that_do_not_match",
    "a_stateful_layer_with_a_rest",
}


def refused(
    build: Callable[[], keras.Model], arguments: Callable[[], dict[str, Any]], late: bool, side: Side
) -> None:
    def train(model: keras.Model) -> Any:
        given = {"x": X, "y": Y, "batch_size": 4, "verbose": 0, "shuffle": False} | arguments()
        return side.train(model, **given)

    built: list[keras.Model] = []

    def build_and_train() -> Any:
        built.append(build())
        return train(built[0])

    try:
        model = build()
    except ValueError:
        side.refuses(build_and_train)
        return
    side.refuses(lambda: train(model), None if late else model)


for name, (build, arguments) in REFUSALS.items():
    case.add(name, partial(refused, build, arguments, name in LATE))


@case
def and_then_it_trains(side: Side) -> None:
    """A refusal of the data leaves nothing behind."""
    model = dense(layers.Dropout(0.2), metrics=["mae"])
    side.refuses(lambda: side.train(model, X, Y[:9], verbose=0), model)
    side.refuses(lambda: side.train(model, dataset(), Y, verbose=0), model)
    fit(side, model, validation_data=VALIDATION)
