"""Kinds of values: what an annotation asks for, and whether a value is that."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

__all__ = ["has_kind", "is_list", "kind_in_words", "kind_of"]

LISTS = (list, tuple, Sequence, MutableSequence, Collection, Iterable)
MAPPINGS = (dict, Mapping, MutableMapping)
SCALARS = (bool, int, float, str)

WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[int]: "a list of whole numbers",
    list[float]: "a list of numbers",
    list[str]: "a list of texts",
    dict[str, Any]: "a section of key=value",
}


def kind_of(hint: Any) -> tuple[Any, bool]:
    """The kind that an annotation asks for, and whether it allows None.

    A kind is `bool`, `int`, `float`, `str`, a `list[...]` of one (tuples and other sequences too, since
    settings have lists), `dict[str, Any]`, a `Literal` or a union of these; `Any` for all that no value of a
    setting can be judged by, such as a class.

    Example:
        >>> kind_of(tuple[int, ...] | None)
        (list[int], True)
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = {kind_of(part)[0]: None for part in parts if part is not type(None)}  # a set that keeps order
        kind = Any if Any in kinds else typing.Union[tuple(kinds)]  # noqa: UP007
        return kind, type(None) in parts or Any in parts
    if origin is Literal or any(hint is scalar for scalar in SCALARS):
        return hint, None in parts
    if any(listed is hint or listed is origin for listed in LISTS):
        return list[_kind_of_items(parts)], False  # type: ignore[misc]
    if origin in MAPPINGS and parts[:1] == (str,):
        return dict[str, Any], False
    return Any, True


def _kind_of_items(parts: tuple[Any, ...]) -> Any:
    """The kind of a list's items: of `tuple[int, ...]` and `tuple[int, int]` too; Any where they differ."""
    kinds = {kind_of(part) for part in parts if part is not Ellipsis}
    kind, may_be_none = kinds.pop() if len(kinds) == 1 else (Any, True)
    return Any if may_be_none else kind


def has_kind(value: Any, kind: Any) -> bool:
    """Whether a value, other than None, is of a kind: a whole number is a number, True is neither."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(has_kind(value, part) for part in parts)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin is list:
        return is_list(value) and all(has_kind(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def is_list(value: Any) -> bool:
    """Whether a value counts as a list."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def kind_in_words(kind: Any) -> str:
    """What a value of a kind is, for people: `a list of whole numbers`."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(kind_in_words, parts))
    if origin is Literal:
        return f"one of {', '.join(str(part) for part in parts if part is not None)}"
    return WORDS.get(kind, "a list" if origin is list else "a value")
