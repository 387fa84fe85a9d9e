"""Settings as OmegaConf holds them: with the schema's types, as plain values, or by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from trainkit.config import Config

__all__ = ["flatten", "plain", "with_types"]


def with_types(settings: Any) -> DictConfig:
    """Settings with the schema's types: every key known, every value of its type."""
    return cast(DictConfig, OmegaConf.merge(OmegaConf.structured(Config), settings))


def plain(settings: DictConfig, *, resolve: bool = False) -> dict[str, Any]:
    """Settings as plain dicts and lists; `resolve` replaces references by their values."""
    return cast(dict[str, Any], OmegaConf.to_container(settings, resolve=resolve))


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values, the sections themselves included."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
    return flat
