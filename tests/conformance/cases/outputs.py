"""Outputs, labels, losses, weights and metrics in lists, tuples and dicts, in any order of keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tests.conformance.cases.inputs import NARROW, WIDE, Z, keyed
from tests.conformance.parts import X, Y, compiled, fit, labels, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("outputs")

KIND = labels(10)


def two_outputs(structure: Any) -> keras.Model:
    """`structure(kind, size)`: probabilities of three classes, and a number; not compiled."""
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, activation="tanh")(inputs)
    kind = layers.Dense(3, activation="softmax", name="kind")(hidden)
    return keras.Model(inputs, structure(kind, layers.Dense(1, name="amount")(hidden)))


def outputs_keyed(kind: Any, amount: Any) -> dict[str, Any]:
    return {"kind": kind, "amount": amount}


CROSS = "sparse_categorical_crossentropy"


@case
def outputs_in_a_list(side: Side) -> None:
    model = compiled(
        two_outputs(lambda *pair: [*pair]), [CROSS, "mse"], metrics=[["accuracy"], ["mae", "mse"]]
    )
    fit(side, model, X, [KIND, Z], validation_data=(X[:5], [KIND[:5], Z[:5]]), record="batches")


@case
def outputs_in_a_tuple(side: Side) -> None:
    fit(side, compiled(two_outputs(lambda *pair: pair), (CROSS, "mse")), X, (KIND, Z))


@case
def outputs_in_a_dict(side: Side) -> None:
    """`kind` before `amount`: not alphabetical, neither in the model nor in what is given."""
    metrics = {"kind": ["accuracy"], "amount": ["mae"]}
    model = compiled(two_outputs(outputs_keyed), outputs_keyed(CROSS, "mse"), metrics=metrics)
    y = outputs_keyed(KIND, Z)
    fit(side, model, X, y, validation_data=(X[:5], {k: v[:5] for k, v in y.items()}), record="batches")


@case
def labels_in_another_order_than_the_outputs(side: Side) -> None:
    model = compiled(two_outputs(outputs_keyed), {"amount": "mse", "kind": CROSS})
    fit(side, model, X, {"amount": Z, "kind": KIND})


@case
def a_loss_dict_for_a_list_of_outputs(side: Side) -> None:
    model = compiled(two_outputs(lambda *pair: [*pair]), outputs_keyed(CROSS, "mse"))
    fit(side, model, X, [KIND, Z])


@case
def a_label_dict_for_a_list_of_outputs(side: Side) -> None:
    model = compiled(two_outputs(lambda *pair: [*pair]), [CROSS, "mse"])
    fit(side, model, X, {"amount": Z, "kind": KIND})


@case
def one_loss_for_all_outputs(side: Side) -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [layers.Dense(1, name="b")(inputs), layers.Dense(1, name="a")(inputs)])
    fit(side, compiled(model, "mse", metrics=["mae", "mse"]), X, [Z, 2 * Z])


@case
def loss_weights_in_a_dict(side: Side) -> None:
    weights = {"amount": 0.1, "kind": 3.0}
    model = compiled(two_outputs(outputs_keyed), outputs_keyed(CROSS, "mse"), loss_weights=weights)
    fit(side, model, X, outputs_keyed(KIND, Z), validation_data=(X[:5], outputs_keyed(KIND[:5], Z[:5])))


@case
def loss_weights_in_a_list(side: Side) -> None:
    model = compiled(two_outputs(lambda *pair: [*pair]), [CROSS, "mse"], loss_weights=[0.2, 2.0])
    fit(side, model, X, [KIND, Z])


@case
def an_output_without_a_loss(side: Side) -> None:
    metrics = {"amount": ["mae"]}
    model = compiled(two_outputs(outputs_keyed), {"kind": CROSS, "amount": None}, metrics=metrics)
    fit(side, model, X, outputs_keyed(KIND, Z))


@case
def an_output_without_a_loss_in_a_list(side: Side) -> None:
    model = compiled(two_outputs(lambda *pair: [*pair]), [None, "mse"])
    fit(side, model, X, [KIND, Z])


@case
def weights_per_output(side: Side) -> None:
    weighted = {"kind": ["accuracy"], "amount": ["mae"]}
    model = compiled(two_outputs(outputs_keyed), outputs_keyed(CROSS, "mse"), weighted_metrics=weighted)
    weights = {"amount": numbers(10, seed=7) ** 2, "kind": numbers(10, seed=8) ** 2}
    fit(side, model, X, outputs_keyed(KIND, Z), sample_weight=weights, record="batches")


@case
def weights_per_output_in_a_list(side: Side) -> None:
    model = compiled(two_outputs(lambda *pair: [*pair]), [CROSS, "mse"], weighted_metrics=[["acc"], ["mae"]])
    fit(side, model, X, [KIND, Z], sample_weight=[numbers(10, seed=7) ** 2, numbers(10, seed=8) ** 2])


@case
def one_weight_for_all_outputs(side: Side) -> None:
    """A list of metrics for a dict of outputs goes by the keys in alphabetical order."""
    model = compiled(
        two_outputs(outputs_keyed), outputs_keyed(CROSS, "mse"), weighted_metrics=[["mae"], ["acc"]]
    )
    fit(side, model, X, outputs_keyed(KIND, Z), sample_weight=numbers(10, seed=7) ** 2)


def trains_nested(nested: Callable[[Any, Any], Any], side: Side) -> None:
    model = compiled(two_outputs(nested), nested(CROSS, "mse"))
    fit(side, model, X, nested(KIND, Z), validation_data=(X[:5], nested(KIND[:5], Z[:5])))


case.add(
    "dicts_of_dicts", partial(trains_nested, lambda kind, amount: {"z": {"x": kind}, "a": {"inner": amount}})
)
case.add("a_dict_of_a_tuple", partial(trains_nested, lambda kind, amount: {"z": (kind,), "a": amount}))
case.add("a_tuple_of_dicts", partial(trains_nested, lambda kind, amount: ({"k": kind}, {"a": amount})))
case.add("a_tuple_in_a_tuple", partial(trains_nested, lambda kind, amount: (kind, (amount,))))


@case
def nested_lists_of_labels(side: Side) -> None:
    """Lists become tuples on their way, which the lists of the model's outputs do not take."""
    model = compiled(two_outputs(lambda kind, amount: [[kind], [amount]]), [[CROSS], ["mse"]])
    side.refuses(lambda: fit(side, model, X, [[KIND], [Z]]), model)


@case
def a_subclass_with_a_dict_of_outputs(side: Side) -> None:
    class Both(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.kind = layers.Dense(3, activation="softmax")
            self.amount = layers.Dense(1)

        def call(self, x):
            return {"kind": self.kind(x), "amount": self.amount(x)}

    model = compiled(Both(), {"kind": CROSS, "amount": "mse"}, metrics={"kind": "acc", "amount": ["mae"]})
    fit(
        side,
        model,
        X,
        {"amount": Z, "kind": KIND},
        validation_data=(X[:5], {"kind": KIND[:5], "amount": Z[:5]}),
    )


@case
def a_subclass_with_a_list_of_outputs(side: Side) -> None:
    class Both(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Dense(1)
            self.second = layers.Dense(1)

        def call(self, x):
            return [self.first(x), self.second(x)]

    fit(side, compiled(Both(), ["mse", "mae"]), X, [Z, 2 * Z], record="batches")


@case
def several_inputs_and_outputs_from_a_dataset(side: Side) -> None:
    wide, narrow = keras.Input((3,), name="wide"), keras.Input((2,), name="narrow")
    joined = layers.Concatenate()([narrow, wide])
    heads = {"z": layers.Dense(1, name="z")(joined), "b": layers.Dense(2, name="b")(joined)}
    model = compiled(keras.Model(keyed(wide, narrow), heads), {"z": "mse", "b": "mae"})
    weights = {"z": numbers(10, seed=7) ** 2, "b": numbers(10, seed=8) ** 2}
    rows = (keyed(WIDE, NARROW), {"z": Z, "b": Y}, weights)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(4)
    fit(side, model, data, None, batch_size=None, validation_data=data, record="batches")
