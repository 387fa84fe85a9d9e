"""Variables of a model that Keras does not list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat

__all__ = ["unlisted_variables"]


def unlisted_variables(model: keras.Model) -> list[Any]:
    """Variables that layers hold but `model.variables` does not list: states of stateful RNNs, a
    `tf.Variable` of a layer's own."""
    listed = {id(compat.raw_variable(v)) for v in [*model.variables, *model.metrics_variables]}
    if model.optimizer is not None:
        listed |= {id(compat.raw_variable(v)) for v in model.optimizer.variables}
    found = []
    for layer in [model, *compat.flat_layers(model)]:
        for name, value in sorted(vars(layer).items()):
            if name.startswith(("_compile", "_trainable_variables", "_optimizer", "optimizer")):
                continue
            for item in _variables_in(value):
                raw = compat.raw_variable(item)
                if id(raw) not in listed:
                    listed.add(id(raw))
                    found.append(item)
    return found


def _variables_in(value: Any) -> Iterator[Any]:
    """The variables in an attribute: itself, or items of its lists, tuples and dicts."""
    if isinstance(value, (keras.Variable, tf.Variable)):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _variables_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _variables_in(item)
