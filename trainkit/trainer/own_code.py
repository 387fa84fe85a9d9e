"""Whether a compiled model runs code of the user's, which may ask for what nobody can see from outside."""

from __future__ import annotations

import inspect
import sys
from functools import partial
from typing import Any

import keras

from trainkit.backend import compat

__all__ = ["has_own_code", "has_own_metrics"]

KNOWN = {"keras", "numpy", "tensorflow", "trainkit", *sys.stdlib_module_names} - {"__main__"}
OWN_METHODS = ("train_step", "test_step", "compute_loss")
# Of layers: what is called with weights alone, and never with rows.
OF_WEIGHTS = ("initializer", "constraint")


def has_own_code(model: keras.Model) -> bool:
    """Whether a step of a model, whose metrics are built, runs code that is not Keras's or trainkit's: of a
    method, layer, operation, activation, regularizer, loss or metric."""
    if any(compat.has_own(model, name) for name in OWN_METHODS) or has_own_metrics(model):
        return True
    layers = compat.all_layers(model)
    if any(map(_is_own, layers)):
        return True
    operations = [one for layer in layers for one in getattr(layer, "operations", ())]
    return any(map(_is_own, [*operations, *keras.tree.flatten(model.loss)]))


def has_own_metrics(model: keras.Model) -> bool:
    """Whether the metrics of a model, which are built, run code of the user's."""
    metrics = [one for metric in model.metrics for one in (metric, *getattr(metric, "metrics", ()))]
    return compat.has_own(model, "compute_metrics") or any(map(_is_own, metrics))


def _is_own(thing: Any) -> bool:
    """Whether a part is of the user's, or holds something that is: a function, an object."""
    if not _is_known(thing) or isinstance(thing, keras.layers.Lambda):
        return True
    held = vars(thing) if hasattr(thing, "__dict__") else {}
    return not all(_is_known(value) for name, value in held.items() if not name.endswith(OF_WEIGHTS))


def _is_known(value: Any) -> bool:
    while isinstance(value, partial):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    module = getattr(value, "__module__", None)
    return not isinstance(module, str) or module.partition(".")[0] in KNOWN
