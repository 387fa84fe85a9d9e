"""Refuses impossible settings before anything is created or loaded, each in one line."""

from __future__ import annotations

import dataclasses
from numbers import Integral, Real
from typing import Any

from trainkit.config.fields import Setting, settings_of
from trainkit.config.root import Config
from trainkit.core.errors import UserError, did_you_mean

__all__ = ["validate", "validate_section"]


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
    elif not _has_kind(value, setting.kind):
        raise UserError(f"{key}={value!r}: expected {setting.expected}, got {type(value).__name__}.")
    elif value == "" and setting.kind is str:
        raise UserError(f"{key}='': expected {setting.expected}, got nothing.")
    elif setting.choices and value not in setting.choices:
        raise UserError(f"{key}={value}: unknown; {did_you_mean(value, setting.choices)}")
    elif not all(setting.in_range(number) for number in _numbers(value)):
        raise UserError(f"{key}={value}: expected {setting.expected}.")
    elif setting.problem is not None and (expected := setting.problem(value)) is not None:
        raise UserError(f"{key}={value}: expected {expected}.")


def _has_kind(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind == list[int]:
        return _is_list(value) and all(_has_kind(item, int) for item in value)
    if kind == list[Any]:
        return _is_list(value)
    if kind == dict[str, Any]:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _numbers(value: Any) -> list[Any]:
    """The numbers whose range is checked: the value itself, or the items of a list."""
    items = value if _is_list(value) else [value]
    return [item for item in items if isinstance(item, Real) and not isinstance(item, bool)]
