"""Names that Keras makes up: how it does is private."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.utils.naming import to_snake_case

__all__ = ["FirstNames", "are_taken", "first_names", "is_automatic", "kept_names", "same_names"]

COUNTS = "object_name_uids"
FirstNames = dict[type, dict[str, int]]
_blocks: list[FirstNames] = []  # of those who ask for the same names


def is_automatic(thing: Any) -> bool:
    """Whether the name of a layer or metric is one that Keras gives by itself: `dense`, `dense_1`."""
    base = re.escape(to_snake_case(type(thing).__name__))
    return re.fullmatch(rf"{base}(_\d+)?", thing.name) is not None


@contextmanager
def same_names(known: FirstNames | None = None) -> Iterator[None]:
    """In the block, Keras makes up the same names for each model of a class of tasks: outputs without names
    of their own are logged alike in all trainings of a search, of several seeds, or of a parity run, whose
    models nobody puts together.

    Args:
        known: The same in several blocks, of which the first settles the names.
    """
    _blocks.append({} if known is None else known)
    try:
        yield
    finally:
        _blocks.pop()


@contextmanager
def first_names(kind: type) -> Iterator[None]:
    """In the block, which makes a model, the names are those of the first such block, where they are to be
    the same.

    Args:
        kind: The class of tasks.
    """
    if not _blocks:
        yield
        return
    before = dict(global_state.get_global_attribute(COUNTS, {}))
    global_state.set_global_attribute(COUNTS, defaultdict(int, _blocks[-1].setdefault(kind, before)))
    try:
        yield
    finally:
        now = global_state.get_global_attribute(COUNTS, {})
        most = {name: max(now.get(name, 0), before.get(name, 0)) for name in {**now, **before}}
        global_state.set_global_attribute(COUNTS, defaultdict(int, most))


def are_taken(error: ValueError) -> bool:
    """Whether Keras raised it since two layers of a model have one name."""
    return re.search(r"names? should be unique|should have unique names", str(error)) is not None


@contextmanager
def kept_names() -> Iterator[None]:
    """After the block, Keras makes up the names of metrics that it would have made up before it: a second
    training logs `auc` as the first does, not `auc_1`.

    Those of layers count on: a layer that outlives the block may be a part of the next model.
    """
    before = dict(global_state.get_global_attribute(COUNTS, {}))
    try:
        yield
    finally:
        now = global_state.get_global_attribute(COUNTS, {})
        names = {to_snake_case(kind.__name__) for kind in _kinds(keras.metrics.Metric)}
        others = {name: count for name, count in now.items() if name not in names}
        metrics = {name: count for name, count in before.items() if name in names}
        global_state.set_global_attribute(COUNTS, defaultdict(int, {**others, **metrics}))


def _kinds(kind: type) -> Iterator[type]:
    yield kind
    below: list[type] = kind.__subclasses__()
    for one in below:
        yield from _kinds(one)
