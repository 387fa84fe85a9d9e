"""Python values that a trace reads: as in Keras, those of the first trace count until the next `compile`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import keras

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, inner_optimizers

__all__ = ["FirstTrace"]

PLAIN = (bool, int, float, str, type(None))
TRAINABLE = "_trainable"  # what the property `trainable` of layers and variables reads and sets


class FirstTrace:
    """Settings of layers and optimizers as the first trace of each kind of batch read them.

    Keras traces a step once. So a layer that is frozen later is trained on, and a rate of dropout that is set
    later does nothing, until the model is compiled or its train function is made anew. We trace more programs
    than one, and each has to train the same.

    Args:
        model: A model with a train function, if somebody may make it anew.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = weakref.ref(model)
        self._function = _train_function(model)
        self._version = 0
        self._first: dict[str, list[tuple[weakref.ref[Any], str, Any]]] = {}

    def version(self) -> int:
        """Counts how often the train function was made anew: programs of before must not go on."""
        function = _train_function(self._model())
        if function is not self._function and function is not None:
            self._function = function
            self._version += 1
            self._first.clear()
        return self._version

    def replacements(self, batch: Any) -> list[Replacement]:
        """What sets the values back to those of the first trace, for the time of a trace.

        Args:
            batch: Structure of `tf.TypeSpec` of the batches: for others Keras traces anew, too.
        """
        model = self._model()
        if model is None:
            return []
        values = self._first.get(repr(batch))
        if values is None:
            read = _values(model)
            self._first[repr(batch)] = [(weakref.ref(owner), name, value) for owner, name, value in read]
            return []
        first = [(owner(), name, value) for owner, name, value in values]
        return [Replacement(*one) for one in first if one[0] is not None and _differs(*one)]


def _values(model: keras.Model) -> Iterator[tuple[Any, str, Any]]:
    """The plain settings of layers, variables and optimizers, with the attributes that hold them."""
    optimizers = [] if model.optimizer is None else inner_optimizers(model.optimizer)
    for owner in [*compat.all_layers(model), *optimizers]:
        for name, value in vars(owner).items():
            if isinstance(value, PLAIN) and (name == TRAINABLE or not name.startswith("_")):
                yield owner, name, value
    for variable in model.variables:
        yield variable, TRAINABLE, getattr(variable, TRAINABLE)


def _differs(owner: Any, name: str, value: Any) -> bool:
    now = vars(owner).get(name, value)
    return type(now) is not type(value) or now != value


def _train_function(model: keras.Model | None) -> Any:
    function = getattr(model, "train_function", None)
    return None if function is None else weakref.ref(function)
