"""Private names of Keras and TensorFlow, each behind a function that says what it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["copy_weight_decay_exclusions", "own_schedule"]


def own_schedule(optimizer: keras.optimizers.Optimizer) -> Callable[..., Any] | None:
    """The schedule or function that gives an optimizer its learning rate; None for a plain number."""
    rate = optimizer._learning_rate
    return None if isinstance(rate, keras.Variable) else rate


def copy_weight_decay_exclusions(
    source: keras.optimizers.Optimizer, target: keras.optimizers.Optimizer
) -> None:
    """Exclude from the weight decay of `target` the variables and names that `source` excludes.

    `get_config` leaves them out, so an optimizer that is made from a config has forgotten them.
    """
    pattern = getattr(source, "_exclude_from_weight_decay_pattern", None)
    variables = getattr(source, "_exclude_from_weight_decay", None)
    if pattern is None and not variables:
        return
    target.exclude_from_weight_decay(var_names=[pattern.pattern] if pattern is not None else None)
    target._exclude_from_weight_decay = set(variables or ())
