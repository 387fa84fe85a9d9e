"""How a setting is declared: default, meaning, choices and range, once, at the dataclass field.

Validation, `--help`, error texts and the documentation all read them from there.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainkit.config.kinds import has_kind, kind_in_words, kind_of

__all__ = [
    "Setting",
    "arguments_of",
    "find",
    "group_meaning",
    "group_of",
    "key_of_group",
    "setting",
    "settings_of",
    "walk",
]

KEY = "setting"  # of the field's metadata


@dataclass(frozen=True)
class Setting:
    """What is known of one setting beside its type.

    Args:
        meaning: One line for people.
        choices: All values that are allowed; empty if any value of the type is.
        at_least: Smallest value, inclusive.
        above: Smallest value, exclusive.
        at_most: Largest value, inclusive.
        below: Largest value, exclusive.
        problem: For text with a grammar of its own: returns what was expected, or None for a good value.
        example: A good value of a list, for error texts: `[0,1]`.
        kind: The field's type, without None.
        optional: Whether None (`null` on the command line) is allowed.
        is_inferred: Whether an annotation is all that is known: any value of its kind is allowed.
    """

    meaning: str
    choices: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    problem: Callable[[Any], str | None] | None = None
    example: str = ""
    kind: Any = Any
    optional: bool = False
    is_inferred: bool = False

    @property
    def range(self) -> str:
        """The allowed range in words: `at least 1`; empty if there is none."""
        words = ("at least", "greater than", "at most", "less than")
        return " and ".join(self._with_bounds(words))

    @property
    def bounds(self) -> str:
        """The allowed range in signs: `>= 1`; empty if there is none."""
        return ", ".join(self._with_bounds((">=", ">", "<=", "<")))

    def _with_bounds(self, words: Sequence[str]) -> list[str]:
        bounds = (self.at_least, self.above, self.at_most, self.below)
        return [f"{word} {bound}" for word, bound in zip(words, bounds, strict=True) if bound is not None]

    @property
    def expected(self) -> str:
        """What a value must be, in words: `a whole number of at least 1`."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        name = kind_in_words(self.kind)
        example = f", such as {self.example}" if self.example else ""
        if not self.range:
            return name + example
        joint = " of " if self.range.startswith("at ") else " "
        return name + joint + self.range + example

    def in_range(self, value: float) -> bool:
        """Whether a number lies in the range; NaN and infinity never do."""
        return (
            abs(value) < float("inf")
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def setting(
    default: Any,
    meaning: str,
    *,
    choices: Sequence[str] = (),
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    problem: Callable[[Any], str | None] | None = None,
    example: str = "",
) -> Any:
    """A dataclass field that is a setting, with the arguments of `Setting`. Lists and dicts are copied."""
    declared = Setting(meaning, tuple(choices), at_least, above, at_most, below, problem, example)
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata={KEY: declared})
    return dataclasses.field(default=default, metadata={KEY: declared})


def settings_of(group: type[Any]) -> Mapping[str, Setting | type[Any]]:
    """The fields of a group in order: a `Setting`, or the dataclass of a group inside it."""
    if group not in _known_groups:  # a search checks the settings of each trial
        hints = typing.get_type_hints(group)
        described = {field.name: _described(field, hints[field.name]) for field in dataclasses.fields(group)}
        _known_groups[group] = types.MappingProxyType(described)
    return _known_groups[group]


_known_groups: dict[type[Any], Mapping[str, Setting | type[Any]]] = {}


def _described(field: dataclasses.Field[Any], hint: Any) -> Setting | type[Any]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint
    kind, optional = kind_of(hint)
    declared: Setting = field.metadata[KEY]
    return dataclasses.replace(declared, kind=kind, optional=optional)


def arguments_of(task: type[Any]) -> Mapping[str, Setting]:
    """The arguments that a dataclass of a task takes, by name: those that are no settings are known by their
    annotations. One that cannot be judged by, or that the field's own default breaks, allows any value."""
    if task not in _known_arguments:
        fields = [field for field in dataclasses.fields(task) if field.init]
        found = {field.name: _argument(field, _hint(task, field)) for field in fields}
        _known_arguments[task] = types.MappingProxyType(found)
    return _known_arguments[task]


_known_arguments: dict[type[Any], Mapping[str, Setting]] = {}
ANYTHING = Setting("", kind=Any, optional=True, is_inferred=True)


def _argument(field: dataclasses.Field[Any], hint: Any) -> Setting:
    kind, optional = kind_of(hint)
    if KEY in field.metadata:
        declared: Setting = field.metadata[KEY]
        return dataclasses.replace(declared, kind=kind, optional=optional)
    if field.default is not None and field.default is not dataclasses.MISSING:
        kind = kind if has_kind(field.default, kind) else Any
    if kind is Any:
        return ANYTHING
    return dataclasses.replace(ANYTHING, kind=kind, optional=optional or field.default is None)


def _hint(task: type[Any], field: dataclasses.Field[Any]) -> Any:
    """The annotation of a field; Any where it names what is not there, such as an import for the type
    checker."""
    owner = next(base for base in task.__mro__ if field.name in inspect.get_annotations(base))
    names = types.SimpleNamespace(__annotations__={field.name: field.type})
    try:
        return typing.get_type_hints(names, vars(sys.modules[owner.__module__]))[field.name]
    except Exception:  # an annotation may be any expression
        return Any


def walk(group: type[Any], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """All settings of a group and of the groups inside it, with their dotted keys."""
    for name, one in settings_of(group).items():
        if isinstance(one, Setting):
            yield prefix + name, one
        else:
            yield from walk(one, f"{prefix}{name}.")


def find(group: type[Any], key: str) -> Setting | None:
    """The setting of a dotted key, such as `trainer.epochs`; None if there is none."""
    *sections, name = key.split(".")
    for section in sections:
        inner = settings_of(group).get(section)
        if not isinstance(inner, type):
            return None
        group = inner
    found = settings_of(group).get(name)
    return found if isinstance(found, Setting) else None


def group_of(group: type[Any], key: str) -> type[Any] | None:
    """The dataclass of a dotted section, such as `optimizer.clip`; None if there is none."""
    for section in key.split("."):
        inner = settings_of(group).get(section)
        if not isinstance(inner, type):
            return None
        group = inner
    return group


def key_of_group(group: type[Any], wanted: str) -> str | None:
    """The dotted section of a dataclass, by the name of its class: `ClipConfig` -> `optimizer.clip`."""
    for name, inner in settings_of(group).items():
        if not isinstance(inner, type):
            continue
        if inner.__name__ == wanted:
            return name
        deeper = key_of_group(inner, wanted)
        if deeper is not None:
            return f"{name}.{deeper}"
    return None


def group_meaning(group: type[Any]) -> str:
    """The first line of a group's docstring."""
    return (group.__doc__ or "").strip().partition("\n")[0]
