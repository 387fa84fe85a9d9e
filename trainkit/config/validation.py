"""Refuses impossible settings before anything is created or loaded, each in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from trainkit.config.fields import Setting, arguments_of, settings_of
from trainkit.config.kinds import has_kind, is_list
from trainkit.config.root import Config
from trainkit.core.errors import UserError, did_you_mean

__all__ = ["check_arguments", "validate", "validate_arguments", "validate_section", "validate_task"]


def validate(config: Config) -> None:
    """Check all settings that can be judged without TensorFlow and without the data.

    Raises:
        UserError: for the first impossible value: what came, what was expected, the nearest valid name.
    """
    _check_fields(config, "")


def validate_section(section: Any, prefix: str) -> None:
    """Check one group of settings, types included, as `validate` does.

    Args:
        section: The group, such as a `TrainerConfig`.
        prefix: Its key in messages: `trainer`.

    Raises:
        UserError: for the first value that is impossible.
    """
    if not dataclasses.is_dataclass(section) or isinstance(section, type):
        raise UserError(
            f"{prefix}={section!r}: expected the settings of this group, such as TrainerConfig()."
        )
    _check_fields(section, f"{prefix}.")


def validate_arguments(task: type[Any], values: Mapping[str, Any]) -> None:
    """Check arguments for a task's class by its fields, as `validate_section` does: by what they declare, or
    else by their annotations. Names that are no fields are left to the class.

    Args:
        task: The class, a dataclass.
        values: Arguments by name.

    Raises:
        UserError: for the first value that is impossible.
    """
    known = arguments_of(task)
    for name, value in values.items():
        if name in known:
            _check(f"task.{name}", value, known[name])


def check_arguments(owner: object, known: Mapping[str, Setting | type[Any]], **values: Any) -> None:
    """Check arguments of a constructor as settings are, of which some have the same names.

    Args:
        owner: What is made: its class is named in the error.
        known: The settings by name, such as `settings_of` gives them.
        **values: The arguments that are checked, each by the setting of its name.

    Raises:
        UserError: for the first value that is impossible.
    """
    for name, value in values.items():
        described = known[name]
        if isinstance(described, Setting):
            plain = value.item() if isinstance(value, np.generic) else value
            _check(f"{type(owner).__name__}: {name}", plain, described)


def validate_task(task: Any) -> None:
    """Check the fields of a task that are declared by `setting`; what others hold in Python is their own.

    Raises:
        UserError: for the first value that is impossible.
    """
    known = arguments_of(type(task))
    declared = {name: getattr(task, name) for name, one in known.items() if not one.is_inferred}
    validate_arguments(type(task), declared)


def _check_fields(section: Any, prefix: str) -> None:
    group: type = type(section)
    for name, described in settings_of(group).items():
        key = prefix + name
        value = getattr(section, name)
        if isinstance(described, Setting):
            _check(key, value, described)
        elif isinstance(value, described):
            _check_fields(value, f"{key}.")
        else:
            raise UserError(f"{key}={value!r}: expected a {described.__name__}.")
    if hasattr(section, "check"):
        section.check(prefix)


def _check(key: str, value: Any, setting: Setting) -> None:
    if value is None:
        if not setting.optional:
            raise UserError(f"{key}: expected {setting.expected}, not null.")
    elif not has_kind(value, setting.kind):
        came = "" if is_list(value) or isinstance(value, Mapping) else f", got {type(value).__name__}"
        raise UserError(f"{key}={value!r}: expected {setting.expected}{came}.")
    elif setting.is_inferred:
        return
    elif setting.kind is str and value == "":
        raise UserError(f"{key}='': expected {setting.expected}, got nothing.")
    elif setting.choices and value not in setting.choices:
        raise UserError(f"{key}={value}: unknown; {did_you_mean(value, setting.choices)}")
    elif not all(setting.in_range(number) for number in _numbers(value)):
        raise UserError(f"{key}={value}: expected {setting.expected}.")
    elif setting.problem is not None and (expected := setting.problem(value)) is not None:
        raise UserError(f"{key}={value}: expected {expected}.")


def _numbers(value: Any) -> list[Any]:
    """The numbers whose range is checked: the value itself, or the items of a list."""
    items = value if is_list(value) else [value]
    return [item for item in items if isinstance(item, Real) and not isinstance(item, bool)]
