"""Python values that a trace reads: as in Keras, those of the first trace count until the next `compile`."""

from __future__ import annotations

import inspect
import types
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, inner_optimizers
from trainkit.backend.traced_values import TracedFloat

__all__ = ["FirstTrace"]

PLAIN = (bool, int, float, str, type(None))
Value = tuple["weakref.ref[Any]", str, Any]
# What the properties `trainable` (of layers too) and `constraint` of variables read and set.
TRAINABLE, CONSTRAINT = "_trainable", "_constraint"


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
        self._functions = {"train": _function(model, "train"), "test": None}
        self._versions = {"train": 0, "test": 0}
        self._first: dict[str, list[Value]] = {}
        self._rows: dict[str, int | None] = {}
        self._known: list[weakref.ref[Any]] = []  # variables that the model had at a trace

    def versions(self) -> tuple[int, int]:
        """Count how often the train and the test function were made anew: programs of before must not go
        on. Keras traces each of them by itself."""
        model = self._model()
        train, test = _function(model, "train"), _function(model, "test")
        if train is not self._functions["train"] and train is not None:
            self._begin_anew("train", train)
            self._known.clear()
        if test is not self._functions["test"] and self._functions["test"] is not None:
            self._begin_anew("test", test)
        return self._versions["train"], self._versions["test"]

    def _begin_anew(self, kind: str, function: Any) -> None:
        self._functions[kind] = function
        self._versions[kind] += 1
        self._first = {key: values for key, values in self._first.items() if not key.startswith(kind)}
        self._rows = {key: rows for key, rows in self._rows.items() if not key.startswith(kind)}

    def lacks_weights(self) -> bool:
        """Whether the model has weights to train by now that it had not at its first trace."""
        self.versions()
        model = self._model()
        known = {id(one()) for one in self._known if one() is not None}
        return (
            model is not None and bool(known) and any(id(v) not in known for v in model.trainable_variables)
        )

    def replacements(self, batch: Any) -> list[Replacement]:
        """What sets the values back to those of the first trace, for the time of a trace.

        Args:
            batch: Structure of `tf.TypeSpec` of the batches: for others Keras traces anew, too.
        """
        return _changes(self._values(f"train {batch!r}"))

    def evaluating(self, batch: Any) -> Callable[[], list[Replacement]]:
        """The same for the first evaluation, which Keras traces when it comes; the values are read now, what
        differs is found when it is called.

        Args:
            batch: As of `replacements`.
        """
        model = self._model()
        if model is not None and self._functions["train"] is not None:
            model.make_test_function()  # as model.evaluate does; who makes it anew, asks for another trace
            self._functions["test"] = _function(model, "test")
        return partial(_changes, self._values(f"test {batch!r}"))

    def shown_rows(self, kind: str, spec: str, rows: int | None) -> int | None:
        """The number of rows that Keras shows to a trace: none once batches of another size have come, since
        it traces those for any size.

        Args:
            kind: `train` or `test`.
            spec: What else tells the batches from others.
            rows: The number that all batches by now have; None: they differ.
        """
        self.versions()
        return rows if self._rows.setdefault(f"{kind} {spec}", rows) == rows else None

    def _values(self, key: str) -> list[Value]:
        model = self._model()
        if model is None:
            return []
        if key not in self._first:
            read = _values(model)
            self._first[key] = [(weakref.ref(owner), name, value) for owner, name, value in read]
            self._known += [weakref.ref(variable) for variable in model.variables]
        return self._first[key]


def _changes(values: list[Value]) -> list[Replacement]:
    first = [(owner(), name, value) for owner, name, value in values]
    return [Replacement(*one) for one in first if one[0] is not None and _differs(*one)]


def _values(model: keras.Model) -> Iterator[tuple[Any, str, Any]]:
    """The settings of layers, variables, optimizers, losses and metrics, with the attributes that hold
    them."""
    optimizers = [] if model.optimizer is None else inner_optimizers(model.optimizer)
    losses = [one for one in keras.tree.flatten(model.loss) if isinstance(one, keras.losses.Loss)]
    for owner in [*compat.all_layers(model), *optimizers, *losses, *compat.compiled_metrics(model)]:
        for name in dict.fromkeys([*vars(owner), *_class_settings(type(owner))]):
            if name != TRAINABLE and (name.startswith("_") or _is_property(type(owner), name)):
                continue
            value = getattr(owner, name)
            if isinstance(value, PLAIN) or _holds_no_model(value):
                yield owner, name, value
    for variable in model.variables:
        yield variable, TRAINABLE, getattr(variable, TRAINABLE)
        yield variable, CONSTRAINT, getattr(variable, CONSTRAINT, None)


def _class_settings(owner: type) -> Iterator[str]:
    """Names of plain values that classes of the user's give their objects."""
    for one in owner.__mro__:
        if one.__module__.partition(".")[0] in ("builtins", "keras", "tensorflow", "trainkit"):
            return
        yield from (name for name, value in vars(one).items() if isinstance(value, PLAIN))


def _is_property(owner: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(owner, name, None), property)


def _holds_no_model(value: Any) -> bool:
    """Whether a value is a plain function, or a regularizer or constraint of Keras's: what is kept of a model
    must not keep it."""
    if isinstance(value, types.FunctionType):
        of_keras = value.__module__.partition(".")[0] == "keras"
        more = value.__defaults__ or value.__kwdefaults__ or vars(value)
        return not value.__closure__ and (of_keras or not more)
    known = isinstance(value, (keras.regularizers.Regularizer, keras.constraints.Constraint))
    return known and type(value).__module__.partition(".")[0] == "keras"


def _differs(owner: Any, name: str, value: Any) -> bool:
    now = getattr(owner, name, value)
    if isinstance(now, TracedFloat):
        return False  # programs read it from a variable
    if isinstance(value, PLAIN):
        return type(now) is not type(value) or now != value
    return now is not value


def _function(model: keras.Model | None, kind: str) -> Any:
    """Keras's train or test function of a model, if there is one."""
    function = getattr(model, f"{kind}_function", None)
    return None if function is None else weakref.ref(function)
