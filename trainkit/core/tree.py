"""Structures of arrays: nested tuples, named tuples, lists and dicts, in the order in which `tf.nest`
flattens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "Structure",
    "leaves",
    "like_mapping",
    "like_sequence",
    "map_leaves",
    "named_leaves",
    "pack_leaves",
    "with_tuples",
]

# One array, or nested tuples, named tuples, lists and dicts of arrays. None is an empty structure.
Structure = Any


def leaves(structure: Structure) -> list[Any]:
    """The arrays of a structure. Dicts are read in the order of their sorted keys, as `tf.nest` does; None
    has no leaves."""
    return list(_walk(structure))


def named_leaves(structure: Structure, name: str = "") -> list[tuple[str, Any]]:
    """The arrays of a structure with their paths from `name` on: `x/age`, `x/0`; dicts in their own order."""
    if isinstance(structure, Mapping):
        parts = [(str(key), value) for key, value in structure.items()]
    elif isinstance(structure, (tuple, list)):
        parts = [(str(i), value) for i, value in enumerate(structure)]
    else:
        return [] if structure is None else [(name, structure)]
    return [leaf for key, value in parts for leaf in named_leaves(value, f"{name}/{key}" if name else key)]


def map_leaves(function: Callable[[Any], Any], structure: Structure) -> Structure:
    """`function` applied to every array of a structure; the structure is kept."""
    if isinstance(structure, Mapping):
        return like_mapping(structure, {key: map_leaves(function, value) for key, value in structure.items()})
    if isinstance(structure, (tuple, list)):
        return like_sequence(structure, [map_leaves(function, value) for value in structure])
    return None if structure is None else function(structure)


def pack_leaves(structure: Structure, flat: Sequence[Any]) -> Structure:
    """The inverse of `leaves`: the values `flat` in the form of `structure`."""
    rest = iter(flat)
    return _pack(structure, rest)


def with_tuples(structure: Structure) -> Structure:
    """The same with tuples for lists, as Keras hands rows on; a Dataset would make one tensor of a list."""
    if isinstance(structure, Mapping):
        return like_mapping(structure, {key: with_tuples(value) for key, value in structure.items()})
    if isinstance(structure, (tuple, list)):
        items = [with_tuples(item) for item in structure]
        return tuple(items) if isinstance(structure, list) else like_sequence(structure, items)
    return structure


def _walk(structure: Structure) -> Iterator[Any]:
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _walk(structure[key])
    elif isinstance(structure, (tuple, list)):
        for item in structure:
            yield from _walk(item)
    elif structure is not None:
        yield structure


def _pack(structure: Structure, rest: Iterator[Any]) -> Structure:
    if isinstance(structure, Mapping):
        packed = {key: _pack(structure[key], rest) for key in sorted(structure)}
        return like_mapping(structure, {key: packed[key] for key in structure})
    if isinstance(structure, (tuple, list)):
        return like_sequence(structure, [_pack(item, rest) for item in structure])
    return None if structure is None else next(rest)


def like_mapping(structure: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping of the same kind, with other items."""
    return items if type(structure) is dict else type(structure)(items)  # type: ignore[call-arg]


def like_sequence(structure: Any, items: list[Any]) -> Any:
    """A tuple, named tuple or list of the same kind, with other items."""
    if hasattr(structure, "_fields"):  # a named tuple takes its items one by one
        return type(structure)(*items)
    return type(structure)(items)
