"""Kinds of values: what an annotation asks for, and whether a value is that."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from enum import Enum, Flag
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

__all__ = [
    "UNIONS",
    "as_annotated",
    "has_kind",
    "is_list",
    "is_path",
    "kind_in_words",
    "kind_of",
    "kinds_of_items",
    "member_of",
]

UNIONS = (typing.Union, types.UnionType)
LISTS = (list, Sequence, MutableSequence, Collection, Iterable)
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

    A kind is `bool`, `int`, `float`, `str`, an enum or a path, a `list[...]`, `tuple[...]` or
    `dict[str, ...]` of these (other sequences are lists), a `Literal` or a union; `Any` for all that no value
    of a setting can be judged by, such as a class.

    Example:
        >>> kind_of(Sequence[int] | None)
        (list[int], True)
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        kinds = {kind_of(part)[0]: None for part in parts if part is not type(None)}  # a set that keeps order
        kind = Any if Any in kinds else typing.Union[tuple(kinds)]  # noqa: UP007
        return kind, type(None) in parts or Any in parts
    if origin is Literal or any(hint is scalar for scalar in SCALARS) or _is_enum(hint) or is_path(hint):
        return hint, None in parts
    if tuple in (hint, origin):
        if any(map(_is_unpacked, parts)):  # any number of items at its place
            return tuple[Any, ...], False
        items = tuple(part if part is Ellipsis else _kind_of_item(part) for part in parts)
        return tuple[items or (Any, ...)], False  # type: ignore[misc]
    if any(listed is hint or listed is origin for listed in LISTS):
        return list[_kind_of_item(parts[0]) if parts else Any], False  # type: ignore[misc]
    if origin in MAPPINGS and parts[:1] == (str,):
        return dict[str, _kind_of_item(parts[1])], False  # type: ignore[misc]
    return Any, True


def _is_unpacked(hint: Any) -> bool:
    return getattr(hint, "__unpacked__", False) or typing.get_origin(hint) is typing.Unpack


def _kind_of_item(hint: Any) -> Any:
    kind, may_be_none = kind_of(hint)
    return Any if may_be_none else kind


def has_kind(value: Any, kind: Any) -> bool:
    """Whether a value, other than None, is of a kind: a whole number is a number, True is neither."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in UNIONS:
        return any(has_kind(value, part) for part in parts)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin in (list, tuple):
        kinds = kinds_of_items(kind, len(value)) if is_list(value) else None
        return kinds is not None and all(map(has_kind, value, kinds))
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(key, str) and has_kind(item, parts[1]) for key, item in value.items()
        )
    if _is_enum(kind):
        return member_of(value, kind) is not None
    if is_path(kind):
        return isinstance(value, (str, PurePath))
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def is_list(value: Any) -> bool:
    """Whether a value counts as a list."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def is_path(kind: Any) -> bool:
    """Whether a kind is `Path`, or one of its relatives."""
    return isinstance(kind, type) and typing.get_origin(kind) is None and issubclass(kind, PurePath)


def _is_enum(kind: Any) -> bool:
    # Flags are more than their members: any sum of them is a value.
    is_class = isinstance(kind, type) and typing.get_origin(kind) is None
    return is_class and issubclass(kind, Enum) and not issubclass(kind, Flag)


def member_of(value: Any, kind: Any) -> Any:
    """The member of an enum that a value is, or that has it as its name or else as its value; None for an
    unknown one, and where the kind is no enum."""
    if not _is_enum(kind) or isinstance(value, kind):
        return value if _is_enum(kind) else None
    named = kind.__members__.get(value) if isinstance(value, str) else None
    is_bool = isinstance(value, bool)
    same = (one for one in kind if one.value == value and isinstance(one.value, bool) is is_bool)
    return named or next(same, None)


def kinds_of_items(kind: Any, count: int) -> tuple[Any, ...] | None:
    """The kinds of the `count` items of a list or tuple; None where a tuple has another number of them."""
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is list or parts[-1] is Ellipsis:
        return parts[:1] * count
    return parts if len(parts) == count else None


def as_annotated(value: Any, kind: Any) -> Any:
    """A value of a kind as a class takes it: a tuple, a path or the member of an enum where settings have a
    list or a text. What is not of that kind is returned as it is."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        return as_annotated(value, next((part for part in parts if has_kind(value, part)), Any))
    if not has_kind(value, kind):
        return value
    if origin in (list, tuple):
        items = map(as_annotated, value, kinds_of_items(kind, len(value)) or ())
        return tuple(items) if origin is tuple else list(items)
    if origin is dict:
        return {key: as_annotated(item, parts[1]) for key, item in value.items()}
    member = member_of(value, kind)
    return kind(value) if is_path(kind) else value if member is None else member


def kind_in_words(kind: Any) -> str:
    """What a value of a kind is, for people: `a list of whole numbers`."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        return " or ".join(dict.fromkeys(map(kind_in_words, parts)))
    if origin is Literal:
        return f"one of {', '.join(str(part) for part in parts if part is not None)}"
    if _is_enum(kind):
        return f"one of {', '.join(kind.__members__)}"
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"a list of {len(parts)}: {', '.join(map(kind_in_words, parts))}"
    if origin is tuple:
        return kind_in_words(list[parts[0]])  # type: ignore[valid-type]
    if origin is dict and parts[1] is not Any:
        return f"a section of key={kind_in_words(parts[1])}"
    return WORDS.get(kind, "a path" if is_path(kind) else "a list" if origin is list else "a value")
