"""The settings of `data`, as tasks get them, and what readers make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from trainkit.config import DataConfig, PreparationConfig
from trainkit.config.validation import validate_section
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.preparation.settings import separate_settings
from trainkit.data.sources.tables import TableOptions

__all__ = ["OF_FILES", "data_config", "refuse_unused", "table_options"]

OF_FILES = ("memory", "cache")  # settings that only what is larger than memory has a use for


def data_config(settings: DataConfig | Mapping[str, Any]) -> DataConfig:
    """The settings of `data` as their dataclass, checked.

    Raises:
        UserError: for an unknown or impossible one.
    """
    if not isinstance(settings, DataConfig):
        known = [setting.name for setting in fields(DataConfig)]
        for name in settings:
            if name not in known:
                raise UserError(f"data.{name} is no setting; {did_you_mean(str(name), known)}")
        given = dict(settings)
        if isinstance(given.get("preparation"), Mapping):
            given["preparation"] = PreparationConfig(**given["preparation"])
        settings = DataConfig(**given)
    validate_section(settings, "data")
    return settings


def refuse_unused(config: DataConfig, names: Iterable[str], reason: str) -> None:
    """Refuse settings that a task would not look at.

    Args:
        config: The settings.
        names: Those that must have their default.
        reason: Why, for the message.

    Raises:
        UserError: naming the first.
    """
    usual = DataConfig()
    for name in names:
        value = getattr(config, name)
        if value != getattr(usual, name):
            raise UserError(f"data.{name}={value}: {reason}; leave it out.")


def table_options(config: DataConfig) -> TableOptions:
    """How to read the files of a table."""
    overrides, _ = separate_settings(config.columns)
    kinds = {name: _kind(override) for name, override in overrides.items()}
    return TableOptions(
        format=config.format,
        delimiter=config.delimiter,
        encoding=config.encoding,
        header=config.header,
        decimal=config.decimal,
        thousands=config.thousands,
        skip_bad=config.skip_bad,
        ignore=tuple(name for name, kind in kinds.items() if kind == "ignore"),
        texts=tuple(name for name, kind in kinds.items() if kind in ("ignore", "text")),
    )


def _kind(override: Any) -> Any:
    return override.get("kind") if isinstance(override, Mapping) else override
