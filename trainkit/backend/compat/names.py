"""Names that Keras makes up: how it does is private."""

from __future__ import annotations

import re
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.utils.naming import to_snake_case

__all__ = ["first_names", "is_automatic", "kept_names"]

COUNTS = "object_name_uids"
_first: weakref.WeakKeyDictionary[type, dict[str, int]] = weakref.WeakKeyDictionary()


def is_automatic(thing: Any) -> bool:
    """Whether the name of a layer or metric is one that Keras gives by itself: `dense`, `dense_1`."""
    base = re.escape(to_snake_case(type(thing).__name__))
    return re.fullmatch(rf"{base}(_\d+)?", thing.name) is not None


@contextmanager
def first_names(kind: type) -> Iterator[None]:
    """In the block, Keras makes up the names that it made up in the first such block: outputs without names
    are logged under the same ones in each training of a search, of several seeds, or of a parity run.

    Args:
        kind: Whose block it is: a class of tasks.
    """
    before = dict(global_state.get_global_attribute(COUNTS, {}))
    global_state.set_global_attribute(COUNTS, defaultdict(int, _first.setdefault(kind, before)))
    try:
        yield
    finally:
        now = global_state.get_global_attribute(COUNTS, {})
        most = {name: max(now.get(name, 0), before.get(name, 0)) for name in {**now, **before}}
        global_state.set_global_attribute(COUNTS, defaultdict(int, most))


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
