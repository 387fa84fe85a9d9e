"""Settings of a model that a trace takes in as constants: which there are, and whether they are others by
now."""

from __future__ import annotations

import inspect
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import inner_optimizers
from trainkit.backend.traced_values import TracedFloat
from trainkit.core.tree import map_leaves

__all__ = ["differs", "settings_of"]

PLAIN = (bool, int, float, str, bytes, type(None), np.generic)
KINDS = (tuple, list, dict, set, frozenset, OrderedDict)
LIBRARIES = ("builtins", "keras", "tensorflow", "trainkit")
# Of what a copy is kept: parts of a container, bytes of an array.
MOST_PARTS, MOST_BYTES = 1000, 1 << 20
# What the properties `trainable` (of layers too) and `constraint` of variables read and set.
TRAINABLE, CONSTRAINT = "_trainable", "_constraint"


def settings_of(model: keras.Model) -> Iterator[tuple[Any, str, Any]]:
    """The settings of layers, variables, optimizers, losses and metrics, with the attributes that hold them;
    copies of those that can be changed in place."""
    optimizers = [] if model.optimizer is None else inner_optimizers(model.optimizer)
    losses = [one for one in keras.tree.flatten(model.loss) if isinstance(one, keras.losses.Loss)]
    for owner in [*compat.all_layers(model), *optimizers, *losses, *compat.compiled_metrics(model)]:
        own = not _of_library(type(owner))
        for name in dict.fromkeys([*vars(owner), *_class_settings(type(owner))]):
            if name != TRAINABLE and (_is_hidden(type(owner), name) or _is_property(type(owner), name)):
                continue
            value = getattr(owner, name)
            if _can_be_kept(value, arrays=own):
                yield owner, name, map_leaves(_copied, value)
    for variable in model.variables:
        yield variable, TRAINABLE, getattr(variable, TRAINABLE)
        yield variable, CONSTRAINT, getattr(variable, CONSTRAINT, None)


def differs(owner: Any, name: str, value: Any) -> bool:
    """Whether a setting is no more the value that it was."""
    now = getattr(owner, name, value)
    return not isinstance(now, TracedFloat) and not _equal(now, value)  # programs read that from a variable


def _class_settings(owner: type) -> Iterator[str]:
    """Names of values that classes of the user's give their objects."""
    for one in owner.__mro__:
        if _of_library(one):
            return
        for name, value in vars(one).items():
            if not isinstance(value, types.FunctionType) and _can_be_kept(value, arrays=True):
                yield name


def _of_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in LIBRARIES


def _is_hidden(owner: type, name: str) -> bool:
    """Whether a private name may be one of Keras's: those of the user's are read by code of the user's."""
    if not name.startswith("_"):
        return False
    return name.startswith("__") or _of_library(owner) or name in _names_of_libraries(owner)


@lru_cache(maxsize=256)
def _names_of_libraries(owner: type) -> frozenset[str]:
    """The names in the code of those classes of an object's that are not the user's."""
    found: set[str] = set()
    for one in filter(_of_library, owner.__mro__):
        for value in vars(one).values():
            if isinstance(value, property):
                parts: list[Any] = [value.fget, value.fset, value.fdel]
            else:
                parts = [getattr(value, "__func__", value)]
            functions = [inspect.unwrap(part) for part in parts if callable(part)]
            codes = [part.__code__ for part in functions if isinstance(part, types.FunctionType)]
            while codes:
                code = codes.pop()
                found.update(code.co_names)
                codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return frozenset(found)


def _is_property(owner: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(owner, name, None), property)


def _can_be_kept(value: Any, *, arrays: bool) -> bool:
    """Whether a value is plain, or made of such: what is kept of a model must not keep it."""
    if isinstance(value, KINDS):
        kind = type(value)  # Keras has a list, a dict and a set of its own
        known = kind in KINDS or hasattr(kind, "_fields") or kind.__module__.partition(".")[0] == "keras"
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        return known and len(parts) <= MOST_PARTS and all(_can_be_kept(one, arrays=arrays) for one in parts)
    if isinstance(value, np.ndarray):
        return arrays and value.dtype != object and value.nbytes <= MOST_BYTES
    if isinstance(value, tf.Tensor):
        return arrays and hasattr(value, "numpy")  # it is no tensor of a graph
    return isinstance(value, PLAIN) or _holds_no_model(value)


def _holds_no_model(value: Any) -> bool:
    """Whether a value is a plain function, or a regularizer or constraint of Keras's."""
    if isinstance(value, types.FunctionType):
        of_keras = value.__module__.partition(".")[0] == "keras"
        more = value.__defaults__ or value.__kwdefaults__ or vars(value)
        return not value.__closure__ and (of_keras or not more)
    known = isinstance(value, (keras.regularizers.Regularizer, keras.constraints.Constraint))
    return known and type(value).__module__.partition(".")[0] == "keras"


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    return type(value)(value) if isinstance(value, set) else value


def _equal(now: Any, before: Any) -> bool:
    if type(now) is not type(before):
        return False
    if isinstance(now, Mapping):
        return list(now) == list(before) and all(_equal(now[key], before[key]) for key in now)
    if isinstance(now, (tuple, list)):
        return len(now) == len(before) and all(map(_equal, now, before))
    if isinstance(now, np.ndarray):
        return now.dtype == before.dtype and np.array_equal(now, before)
    if isinstance(now, (*PLAIN, set, frozenset)):
        return bool(now == before)
    return now is before
