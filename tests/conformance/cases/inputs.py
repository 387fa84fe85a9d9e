"""Inputs as lists, tuples, dicts and what holds them, in any order of keys."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from tests.conformance.parts import X, Y, compiled, fit, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("inputs")

WIDE = X
NARROW = numbers(10, 2, seed=5)
Z = numbers(10, 1, seed=6)


def two_inputs(structure: Any) -> keras.Model:
    """A Functional model over `structure(wide, narrow)`, with three and two numbers."""
    wide = keras.Input((3,), name="wide")
    narrow = keras.Input((2,), name="narrow")
    joined = ops.tanh(layers.Dense(4)(wide) + layers.Dense(4)(narrow))
    return compiled(keras.Model(structure(wide, narrow), layers.Dense(2)(joined)))


def keyed(wide: Any, narrow: Any) -> dict[str, Any]:
    return {"wide": wide, "narrow": narrow}


@case
def inputs_in_a_list(side: Side) -> None:
    fit(
        side,
        two_inputs(lambda *pair: [*pair]),
        [WIDE, NARROW],
        validation_data=([WIDE[:5], NARROW[:5]], Y[:5]),
    )


@case
def inputs_in_a_tuple(side: Side) -> None:
    fit(side, two_inputs(lambda *pair: pair), (WIDE, NARROW))


@case
def inputs_in_a_dict(side: Side) -> None:
    """`wide` before `narrow`: not alphabetical."""
    data = keyed(WIDE, NARROW)
    fit(side, two_inputs(keyed), data, validation_data=({k: v[:5] for k, v in data.items()}, Y[:5]))


@case
def a_dict_in_another_order_than_the_models(side: Side) -> None:
    fit(side, two_inputs(keyed), {"narrow": NARROW, "wide": WIDE})


@case
def a_dict_for_a_list_of_named_inputs(side: Side) -> None:
    fit(side, two_inputs(lambda *pair: [*pair]), keyed(WIDE, NARROW))


@case
def a_list_for_a_dict_of_inputs(side: Side) -> None:
    model = two_inputs(keyed)
    side.refuses(lambda: fit(side, model, [NARROW, WIDE]), model)


@case
def a_dict_with_a_key_too_many_for_a_list_of_inputs(side: Side) -> None:
    fit(side, two_inputs(lambda *pair: [*pair]), {"zero": Z, **keyed(WIDE, NARROW)})


@case
def a_dict_with_a_key_too_many_for_a_dict_of_inputs(side: Side) -> None:
    """Keras then goes by position, and here gives one input what belongs to another."""
    model = two_inputs(keyed)
    side.refuses(lambda: fit(side, model, {"other": Z, **keyed(WIDE, NARROW)}), model)


@case
def a_dict_of_one(side: Side) -> None:
    inputs = keras.Input((3,), name="only")
    fit(side, compiled(keras.Model({"only": inputs}, layers.Dense(2)(inputs))), {"only": X})


@case
def an_ordered_dict(side: Side) -> None:
    """It is read in its own order, a plain dict in alphabetical order; here both are one."""
    fit(side, two_inputs(keyed), OrderedDict([("narrow", NARROW), ("wide", WIDE)]))


@case
def an_ordered_dict_in_another_order(side: Side) -> None:
    model = two_inputs(keyed)
    side.refuses(lambda: fit(side, model, OrderedDict([("wide", WIDE), ("narrow", NARROW)])), model)


@case
def nested_inputs(side: Side) -> None:
    def nested(wide: Any, narrow: Any) -> Any:
        return {"b": [wide], "a": {"inner": (narrow,)}}

    fit(side, two_inputs(nested), nested(WIDE, NARROW))


@case
def a_dict_from_a_dataset(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices((keyed(WIDE, NARROW), Y)).batch(4)
    fit(side, two_inputs(keyed), data, None, batch_size=None, validation_data=data)


@case
def a_list_of_arrays_from_a_dataset(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices(((WIDE, NARROW), Y)).batch(4)
    fit(side, two_inputs(lambda *pair: [*pair]), data, None, batch_size=None)


Point = namedtuple("Point", ["wide", "narrow"])


class Named(keras.Model):
    """Reads its inputs by the fields of a named tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(4)
        self.second = layers.Dense(4)
        self.head = layers.Dense(2)

    def call(self, point):
        return self.head(ops.tanh(self.first(point.wide) + self.second(point.narrow)))


@case
def a_list_of_two_for_one_input(side: Side) -> None:
    """A Sequential model reads the first, and says nothing of the second."""
    fit(side, compiled(keras.Sequential([keras.Input((3,)), layers.Dense(2)])), [WIDE, NARROW])


@case
def a_named_tuple_from_a_dataset(side: Side) -> None:
    data = tf.data.Dataset.from_tensor_slices((Point(WIDE, NARROW), Y)).batch(4)
    fit(side, compiled(Named()), data, None, batch_size=None)


class Positional(keras.Model):
    """Takes what it is given by position."""

    def __init__(self) -> None:
        super().__init__()
        self.head = layers.Dense(2)

    def call(self, pair):
        first, second = pair
        return self.head(ops.concatenate([first, second], axis=-1))


@case
def a_named_tuple_of_arrays(side: Side) -> None:
    """The model reads it by position."""
    fit(side, compiled(Positional()), Point(WIDE, NARROW))


@case
def a_list_for_a_subclass(side: Side) -> None:
    fit(side, compiled(Positional()), [WIDE, NARROW])


@case
def optional_inputs(side: Side) -> None:
    """`None` stands for an input that is left out."""
    first = keras.Input((3,), name="first")
    second = keras.Input((3,), name="second", optional=True)

    class Add(layers.Layer):
        def call(self, a, b=None):
            return a if b is None else a + b

        def compute_output_shape(self, a_shape, b_shape=None):
            return a_shape

    model = keras.Model({"first": first, "second": second}, layers.Dense(2)(Add()(first, second)))
    fit(side, compiled(model), {"first": X, "second": None})
