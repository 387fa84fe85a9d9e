"""Which layers a compilation trains: as Keras, those that could be trained when it was first traced."""

from __future__ import annotations

import weakref
from typing import Any

import keras

from trainkit.backend import compat
from trainkit.backend.patches import Replacement

__all__ = ["TrainableFlags"]


class TrainableFlags:
    """The `trainable` flags of the first trace of each kind of batch, for the traces that follow.

    Keras traces a step once, so a layer that is frozen later is trained on, until the model is compiled or
    its train function is made anew. We trace more programs than one, and each has to train the same layers.

    Args:
        model: A model with a train function, if somebody may make it anew.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = weakref.ref(model)
        self._function = _train_function(model)
        self._version = 0
        self._first: dict[str, list[tuple[weakref.ref[Any], str, bool]]] = {}

    def version(self) -> int:
        """Counts how often the train function was made anew: programs of before must not go on."""
        model = self._model()
        function = _train_function(model)
        if function is not self._function and function is not None:
            self._function = function
            self._version += 1
            self._first.clear()
        return self._version

    def replacements(self, batch: Any) -> list[Replacement]:
        """What sets the flags back to those of the first trace, for the time of a trace.

        Args:
            batch: Structure of `tf.TypeSpec` of the batches: for others Keras traces anew, too.
        """
        model = self._model()
        kind = repr(batch)
        if model is None:
            return []
        if kind not in self._first:
            flags = compat.trainable_flags(model)
            self._first[kind] = [(weakref.ref(owner), name, value) for owner, name, value in flags]
            return []
        first = [(owner(), name, value) for owner, name, value in self._first[kind]]
        changed = [one for one in first if one[0] is not None and getattr(*one[:2]) != one[2]]
        return [Replacement(*one) for one in changed]


def _train_function(model: keras.Model | None) -> Any:
    function = getattr(model, "train_function", None)
    return None if function is None else weakref.ref(function)
