"""Python values that a trace reads: as in Keras, those of the first trace count until the next `compile`."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend.patches import Replacement
from trainkit.trainer.model_settings import differs, settings_of

__all__ = ["FirstTrace", "KerasTrace"]

Value = tuple["weakref.ref[Any]", str, Any]


@dataclass(eq=False)
class KerasTrace:
    """A trace that Keras makes of its train or test function.

    Args:
        batches: The batches that it is for.
        first: The settings that it read; None: it is yet to come.
    """

    batches: tf.data.DatasetSpec
    first: list[Value] | None = None

    @property
    def rows(self) -> int | None:
        """The number of rows that the trace knows; None: it is for any."""
        spec = next(one for one in tf.nest.flatten(self.batches.element_spec) if one is not None)
        rows: int | None = spec.shape[0] if isinstance(spec, tf.TensorSpec) and spec.shape.rank else None
        return rows


class FirstTrace:
    """Settings of layers and optimizers as each of Keras's traces reads them.

    Keras traces a step once, and once more for batches of another size, for any size then. So a layer that is
    frozen later is trained on, and a rate of dropout that is set later does nothing, until the model is
    compiled or its train function is made anew. We trace more programs than one, and each has to train the
    same.

    Args:
        model: A model with a train function, if somebody may make it anew.

    Attributes:
        about: What is known of the model by the rows that it was traced for.
        trained: Steps of all fits so far, by the sizes of their rows.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = weakref.ref(model)
        self._functions = {"train": _function(model, "train"), "test": None}
        self._versions = {"train": 0, "test": 0}
        self._traces: dict[str, list[KerasTrace]] = {"train": [], "test": []}
        self._found: dict[str, KerasTrace] = {}  # by what was asked for
        self.about: dict[str, Any] = {}
        self.trained: Counter[Any] = Counter()
        self._known: list[weakref.ref[Any]] = []  # variables that the model had at a trace

    @property
    def is_of_fit(self) -> bool:
        """Whether `model.fit` would trace this model for the very rows: one that is compiled already."""
        return self._functions["train"] is not None

    def versions(self) -> tuple[int, int]:
        """Count how often the train and the test function were made anew: programs of before must not go
        on. Keras traces each of them by itself."""
        model = self._model()
        train, test = _function(model, "train"), _function(model, "test")
        if train is not self._functions["train"] and train is not None:
            self._begin_anew("train", train)
            self.trained = Counter()
            self._known.clear()
        if test is not self._functions["test"] and self._functions["test"] is not None:
            self._begin_anew("test", test)
        return self._versions["train"], self._versions["test"]

    def _begin_anew(self, kind: str, function: Any) -> None:
        self._functions[kind] = function
        self._versions[kind] += 1
        self._traces[kind] = []
        self._found.clear()
        self.about = {}

    def lacks_weights(self) -> bool:
        """Whether the model has weights to train by now that it had not at its first trace."""
        self.versions()
        model = self._model()
        known = {id(one()) for one in self._known if one() is not None}
        return (
            model is not None and bool(known) and any(id(v) not in known for v in model.trainable_variables)
        )

    def trace(self, kind: str, batches: Any) -> KerasTrace:
        """The trace that Keras runs for such batches, as `tf.function` chooses it: the closest that is for
        them all; else a new one, for whatever the former ones and these have in common.

        Args:
            kind: `train` or `test`.
            batches: Structure of `tf.TypeSpec`, as Keras knows them.
        """
        self.versions()
        asked = f"{kind} {batches!r}"
        if asked not in self._found:
            traces = self._traces[kind]
            spec = tf.data.DatasetSpec(batches)
            closest: KerasTrace | None = None
            for one in traces:
                closer = closest is None or one.batches.is_subtype_of(closest.batches)
                if closer and spec.is_subtype_of(one.batches):
                    closest = one
            if closest is None:
                for one in traces:
                    spec = spec.most_specific_common_supertype([one.batches]) or spec
                closest = KerasTrace(spec)
                traces.append(closest)
                self._found.clear()
            self._found[asked] = closest
        return self._found[asked]

    def replacements(self, batches: Any) -> list[Replacement]:
        """What sets the values back to those of Keras's trace for such batches, for the time of a trace."""
        return _changes(self._values(self.trace("train", batches)))

    def evaluating(self, batches: Any) -> Callable[[], list[Replacement]]:
        """The same for the first evaluation, which Keras traces when it comes; the values are read now, what
        differs is found when it is called."""
        model = self._model()
        if model is not None and self._functions["train"] is not None:
            model.make_test_function()  # as model.evaluate does; who makes it anew, asks for another trace
            self._functions["test"] = _function(model, "test")
        return partial(_changes, self._values(self.trace("test", batches)))

    def _values(self, trace: KerasTrace) -> list[Value]:
        model = self._model()
        if model is None:
            return []
        if trace.first is None:
            trace.first = [(weakref.ref(owner), *setting) for owner, *setting in settings_of(model)]
            self._known += [weakref.ref(variable) for variable in model.variables]
        return trace.first


def _changes(values: list[Value]) -> list[Replacement]:
    first = [(owner(), name, value) for owner, name, value in values]
    return [Replacement(*one) for one in first if one[0] is not None and differs(*one)]


def _function(model: keras.Model | None, kind: str) -> Any:
    """Keras's train or test function of a model, if there is one."""
    function = getattr(model, f"{kind}_function", None)
    return None if function is None else weakref.ref(function)
