"""Which weights a Keras optimizer was built for, and which it does not decay: Keras keeps that private."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType
from typing import Any

import keras

__all__ = [
    "assigns_when_built",
    "built_for_all",
    "built_for_others",
    "copy_weight_decay_exclusions",
    "decay_exclusions",
]

ASSIGNMENTS = {"assign", "assign_add", "assign_sub", "scatter_update"}


def built_for_others(optimizers: Sequence[keras.optimizers.Optimizer], variables: Iterable[Any]) -> bool:
    """Whether optimizers that are built were built for other weights than `variables`."""
    known = {id(v) for one in optimizers for v in one._trainable_variables}
    return bool(known) and any(id(v) not in known for v in variables)


def built_for_all(optimizers: Sequence[keras.optimizers.Optimizer], variables: Iterable[Any]) -> bool:
    """Whether optimizers that are built were built for just these weights."""
    known = {id(v) for one in optimizers for v in one._trainable_variables}
    return not known or known == {id(v) for v in variables}


def assigns_when_built(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimizer that is not built yet assigns to variables when it is, as `ScheduleFreeAdamW`
    copies the weights: built within a step, as Keras builds it, it does so again in each step."""
    return not optimizer.built and _assigns(type(optimizer), type(optimizer).build, set())


def _assigns(kind: type, function: Any, seen: set[Any]) -> bool:
    """Whether a function, or one that it calls, names an assignment to a variable; of a class's methods, all
    that have the name count."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(function, "__code__", None)
    if code is None or code in seen:
        return False
    seen.add(code)
    names = set(_names(code))
    if names & ASSIGNMENTS:
        return True
    called = [vars(owner).get(name) for name in names for owner in kind.__mro__]
    if not _of_keras(function):
        called += [getattr(function, "__globals__", {}).get(name) for name in names]
    return any(_assigns(kind, one, seen) for one in called if callable(one) or hasattr(one, "__func__"))


def _names(code: CodeType) -> Iterator[str]:
    """What a code names, also within its comprehensions and functions."""
    yield from code.co_names
    for inside in code.co_consts:
        if isinstance(inside, CodeType):
            yield from _names(inside)


def _of_keras(function: Any) -> bool:
    """Whether a function is not the user's."""
    return str(function.__module__).partition(".")[0] in ("keras", "tensorflow")


def copy_weight_decay_exclusions(
    source: keras.optimizers.Optimizer, target: keras.optimizers.Optimizer
) -> None:
    """Exclude from the weight decay of `target` the variables and names that `source` excludes.

    `get_config` leaves them out, so an optimizer that is made from a config has forgotten them.
    """
    pattern, variables = decay_exclusions(source)
    if pattern is None and not variables:
        return
    target.exclude_from_weight_decay(var_names=[pattern] if pattern is not None else None)
    target._exclude_from_weight_decay = variables


def decay_exclusions(optimizer: keras.optimizers.Optimizer) -> tuple[str | None, set[Any]]:
    """The pattern of the names, and the keys of the variables, that weight decay leaves out."""
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    variables = getattr(optimizer, "_exclude_from_weight_decay", None)
    return None if pattern is None else pattern.pattern, set(variables or ())
