"""The arguments of a task, by the annotations of its class: words that mean another type are given it, what
cannot be is refused, and so is what nothing would look at."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from omegaconf import BooleanNode, DictConfig, FloatNode, IntegerNode, OmegaConf, StringNode
from omegaconf.errors import ValidationError

from trainkit.cli.hydra_app import key_of
from trainkit.cli.instantiate import dataclass_of, make_task
from trainkit.cli.resumed import Changes
from trainkit.cli.settings import plain, with_types
from trainkit.config import validate_arguments
from trainkit.config.fields import arguments_of
from trainkit.config.kinds import UNIONS, has_kind, is_list, is_path, kinds_of_items, member_of
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.tuning.space import Space

__all__ = ["refuse_unread", "typed_arguments", "typed_changes", "unread_in_search", "with_arguments"]

# The nodes that hold the other sections' values, so that a word means the same everywhere.
NODES: Mapping[Any, Callable[[Any], Any]] = {
    bool: BooleanNode,
    int: IntegerNode,
    float: FloatNode,
    str: StringNode,
}


def typed_arguments(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`task._target_` and its arguments, with each argument of the type that its field has: `no` for a field
    that is a bool becomes False. What is no dataclass is left as it is.

    Raises:
        UserError: for the first argument that is impossible.
    """
    task = dataclass_of(spec["_target_"])
    if task is None:
        return dict(spec)
    known = arguments_of(task)
    typed = {
        name: _converted(value, known[name].kind) if name in known and not _makes_object(value) else value
        for name, value in spec.items()
    }
    validate_arguments(task, {name: value for name, value in typed.items() if not _makes_object(value)})
    return typed


def with_arguments(
    settings: DictConfig, before: Mapping[str, Any], arguments: Mapping[str, Any]
) -> DictConfig:
    """Settings with a task's arguments as they are typed; references such as `${data.dir}` stay.

    Args:
        settings: All settings.
        before: The arguments as the settings have them.
        arguments: The same, typed.
    """
    changed = {name: value for name, value in arguments.items() if _text(value) != _text(before[name])}
    changed = {
        name: value for name, value in changed.items() if not OmegaConf.is_interpolation(settings.task, name)
    }
    if not changed:
        return settings
    values = plain(settings)
    return with_types({**values, "task": {**values["task"], **changed}})


def typed_changes(changes: Changes, arguments: Mapping[str, Any]) -> Changes:
    """What a command line changes of a run, with the task's arguments as they are typed: `no` is no change of
    False."""
    typed = {
        key: (before, arguments.get(key.removeprefix("task."), now) if key.startswith("task.") else now)
        for key, (before, now) in changes.items()
    }
    return {key: (before, now) for key, (before, now) in typed.items() if _text(before) != _text(now)}


def unread_in_search(
    space: Space, typed: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> list[Collection[str]]:
    """The arguments that the task leaves unread, with each value that a search has for one of them.

    Args:
        space: What is searched.
        typed: Gives the task's arguments for other values of some settings, as `typed_arguments` does.

    Raises:
        UserError: for the first value that its field does not take, or that is the same as another.
    """
    unread: list[Collection[str]] = []
    for parameter in space.parameters:
        key = parameter.key
        seen: dict[str, Any] = {}
        for value in parameter.samples() if key.startswith("task.") else ():
            arguments = _of_a_trial(key, value, typed)
            text = _text(arguments)
            if text in seen:
                raise UserError(f"tune.space.{key}: {seen[text]} and {value} are the same; leave one out.")
            seen[text] = value
            try:
                unread.append(set(make_task(arguments).unread_arguments()))
            except UserError as error:
                raise UserError(f"tune.space.{key}: {value} cannot be trained: {error}") from error
    return unread


def _of_a_trial(
    key: str, value: Any, typed: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Mapping[str, Any]:
    try:
        return typed({key: value})
    except UserError as error:
        problem = str(error).removeprefix("task.")
        raise UserError(f"tune.space.task.{problem}") from error


def refuse_unread(
    task: Task, in_search: Sequence[Collection[str]], words: Sequence[str], searched: Collection[str]
) -> None:
    """Refuse arguments that somebody chose, and that nothing looks at.

    Args:
        task: The task.
        in_search: What it leaves unread with the values of a search.
        words: The command line.
        searched: The keys that are searched.

    Raises:
        UserError: for the first.
    """
    chosen = {**{key: f"tune.space.{key}" for key in searched}, **{key_of(word): word for word in words}}
    for name, reason in task.unread_arguments().items():
        if f"task.{name}" in chosen and all(name in unread for unread in in_search):
            raise UserError(f"{chosen[f'task.{name}']}: {reason}; leave it out.")


def _converted(value: Any, kind: Any) -> Any:
    """A value as a field of a kind takes it; one that it cannot take stays as it is."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    member = member_of(value, kind)
    if member is not None:  # by its name, whether the word is that or its value
        return member.name
    if value is None or has_kind(value, kind):
        return value
    node = StringNode if is_path(kind) else NODES.get(kind)
    if node is not None:
        with suppress(ValidationError):
            return OmegaConf.create({"value": node(value)}).value
    elif origin in (list, tuple) and is_list(value):
        kinds = kinds_of_items(kind, len(value))
        return value if kinds is None else list(map(_converted, value, kinds))
    elif origin is dict and isinstance(value, Mapping):
        return {key: _converted(item, parts[1]) for key, item in value.items()}
    elif origin in UNIONS:  # the first that takes it; any value would do as a text
        tried = (_converted(value, part) for part in parts if part is not str)
        return next((one for one in tried if has_kind(one, kind)), value)
    return value


def _makes_object(value: Any) -> bool:
    """Whether a value, or something in it, is made by a `_target_` of its own."""
    return "_target_" in set(_keys(value))


def _keys(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value
    items = value.values() if isinstance(value, Mapping) else value if is_list(value) else ()
    for item in items:
        yield from _keys(item)


def _text(value: Any) -> str:
    """A text that differs where type or value do: True is not 1."""
    return json.dumps(value, default=str)
