"""Numbers of a model and its optimizer that a compiled program reads from variables, not as constants.

A dropout rate, a momentum or the mean of a normalisation changes no shape: two trainings that differ only in
such values can run the same compiled program. While the program is traced, the attribute that holds the value
is replaced by one that reads a variable; before each training the variable gets that training's value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, inner_optimizers, set_attributes

__all__ = ["OPTIMIZER_VALUES", "TracedFloat", "TracedValues", "value_attributes"]

# Attributes of Keras's optimizers that only scale; whether they are zero decides what is computed.
OPTIMIZER_VALUES = (
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "ema_momentum",
    "momentum",
    "rho",
    "beta_1",
    "beta_2",
    "epsilon",
)
REGULARIZERS = {keras.regularizers.L1: "l1", keras.regularizers.L2: "l2"}


class TracedFloat(float):
    """A float in comparisons, a tensor in arithmetic: what stands for a value while a program is traced.

    Keras asks `if self.rate > 0:` and computes `1 - self.beta_1`. The first is decided by the value at hand;
    the second reads the variable, in float64 like Python, and is rounded where it meets a tensor, so that the
    program computes what it would with the constant.

    Args:
        value: The value at hand.
        exact: The same as a float64 tensor.
    """

    exact: tf.Tensor
    dtype = "float32"  # what Keras takes a Python number for, next to float32 tensors

    def __new__(cls, value: float, exact: tf.Tensor) -> TracedFloat:
        made = super().__new__(cls, value)
        made.exact = exact
        return made

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> tf.Tensor:
        return tf.cast(self.exact, dtype or tf.float32)

    def _joined(self, other: Any, function: Callable[[Any, Any], Any], *, swapped: bool = False) -> Any:
        def apply(mine: Any, theirs: Any) -> Any:
            return function(theirs, mine) if swapped else function(mine, theirs)

        if isinstance(other, (int, float)):
            exact = other.exact if isinstance(other, TracedFloat) else tf.constant(other, tf.float64)
            return TracedFloat(apply(float(self), float(other)), apply(self.exact, exact))
        tensor = tf.convert_to_tensor(other)
        return apply(tf.cast(self.exact, tensor.dtype), tensor)

    def __add__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a + b, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a - b, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a * b)

    def __rmul__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a * b, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a / b)

    def __rtruediv__(self, other: Any) -> Any:
        return self._joined(other, lambda a, b: a / b, swapped=True)

    def __neg__(self) -> Any:
        return TracedFloat(-float(self), -self.exact)


@dataclass(frozen=True)
class _Place:
    """An attribute whose value is read from a variable."""

    owner: Any
    name: str

    @property
    def value(self) -> Any:
        return getattr(self.owner, self.name)

    def set(self, value: Any) -> None:
        values = {self.name: value}
        if isinstance(self.owner, keras.layers.Normalization):
            given = f"input_{self.name}"  # what it was made with, and is saved with: one number, or one each
            values[self.name] = keras.ops.convert_to_tensor(value)
            if getattr(self.owner, given) is not None:  # else it was adapted, and is saved with its variables
                size, shape = np.size(getattr(self.owner, given)), np.shape(getattr(self.owner, given))
                fits = size in (1, np.size(value))
                values[given] = np.ravel(value)[:size].reshape(shape) if fits else value
        set_attributes(self.owner, values)


class TracedValues:
    """The values of one model that its programs read from variables.

    Args:
        model: A compiled model with built layers.
        optimizer_values: Attributes of the optimizer that are read from variables.
    """

    def __init__(self, model: keras.Model, optimizer_values: Collection[str] = ()) -> None:
        self._places = _places(model, model.optimizer, optimizer_values)
        self._variables = [_variable(place.value) for place in self._places]
        self._numbers = [_number(place.value) for place in self._places]

    def assign(self, values: Sequence[Any]) -> None:
        """Set the values, in the order of `values_of` for a model of the same structure.

        The attributes get them too: callbacks read them, and the model is saved with them.
        """
        for i, (place, value) in enumerate(zip(self._places, values, strict=True)):
            variable, number = self._variables[i], _number(value)
            variable.assign(np.asarray(value, variable.dtype.as_numpy_dtype).reshape(variable.shape))
            self._numbers[i] = number
            place.set(variable.numpy() if number is None else number)

    def replacements(self) -> list[Replacement]:
        """What takes the place of the attributes while a program is traced."""
        found = []
        for place, variable, number in zip(self._places, self._variables, self._numbers, strict=True):
            tensor = variable.read_value()
            value = tensor if number is None else TracedFloat(number, tensor)
            found.append(Replacement(place.owner, place.name, value))
        return found

    @staticmethod
    def values_of(model: keras.Model, optimizer: Any, optimizer_values: Collection[str] = ()) -> list[Any]:
        """The values of a model and an optimizer, in one order for all models of a structure."""
        return [np.asarray(place.value) for place in _places(model, optimizer, optimizer_values)]


def value_attributes(thing: Any) -> tuple[str, ...]:
    """The attributes of a layer, metric or regularizer that are values, and change no program.

    A metric of ours declares them as `value_attributes`.
    """
    if isinstance(thing, keras.layers.Normalization):
        return ("mean", "variance") if thing.mean is not None else ()
    if isinstance(thing, keras.layers.Dropout):
        return ("rate",)
    if type(thing) in REGULARIZERS:
        return (REGULARIZERS[type(thing)],)
    return tuple(getattr(thing, "value_attributes", ()))


def _places(model: keras.Model, optimizer: Any, optimizer_values: Collection[str]) -> list[_Place]:
    owners: list[Any] = []
    for layer in compat.flat_layers(model):
        owners += [layer, *_regularizers(layer)]
    owners += compat.compiled_metrics(model)
    places = [_Place(owner, name) for owner in owners for name in value_attributes(owner)]
    for one in inner_optimizers(optimizer) if optimizer is not None and optimizer_values else ():
        for name in OPTIMIZER_VALUES:
            if name in optimizer_values and isinstance(vars(one).get(name), float):
                places.append(_Place(one, name))
    return places


def _regularizers(layer: keras.Layer) -> list[Any]:
    """All that a layer holds, and those that its variables were given."""
    held = [value for _, value in sorted(vars(layer).items()) if isinstance(value, keras.Regularizer)]
    given = [v.regularizer for v in layer.variables if v.regularizer is not None]
    return list({id(one): one for one in (*held, *given)}.values())


def _variable(value: Any) -> tf.Variable:
    if _number(value) is not None:
        return tf.Variable(float(value), dtype=tf.float64, trainable=False)
    return tf.Variable(value, trainable=False)


def _number(value: Any) -> float | None:
    """A value as a Python number; None for an array of several."""
    return float(value) if np.ndim(value) == 0 else None
