"""What was asked for, in a form that tells whether it is the same as before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainkit.config import DataConfig
from trainkit.data.sources import paths

__all__ = ["Request", "request"]


@dataclass(frozen=True)
class Request:
    """Data that were asked for. Two are the same if their settings are, and the files have not changed.

    Args:
        settings: All settings as text.
        problem: `classification` or `regression`.
        stamp: State of the files.
        config: The settings.
    """

    settings: str
    problem: str
    stamp: tuple[Any, ...]
    config: DataConfig = field(compare=False)


def request(config: DataConfig, problem: str) -> Request:
    """What the settings ask for, with the files as they are now."""
    stamp = () if config.path is None else paths.stamp(config.path)
    return Request(repr(config), problem, stamp, config)
