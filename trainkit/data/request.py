"""What was asked for, in a form that tells whether it is the same as before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from trainkit.config import DataConfig
from trainkit.core.datasets import Fold
from trainkit.data.sources import paths

__all__ = ["Request", "request"]


@dataclass(frozen=True)
class Request:
    """Data that were asked for. Two are the same if their settings are, and the files have not changed.

    Args:
        settings: All settings as text.
        problem: `classification` or `regression`.
        stamp: State of the files.
        held: Rows to validate on in place of `data.validation`: a share of those that are not test rows, or
            one of several folds of them.
        config: The settings, in which `split` is what it stands for.
    """

    settings: str
    problem: str
    stamp: tuple[Any, ...]
    held: float | Fold | None
    config: DataConfig = field(compare=False)


def request(config: DataConfig, problem: str, validation: float | Fold | None = None) -> Request:
    """What the settings ask for, with the files as they are now.

    Args:
        config: The settings.
        problem: `classification` or `regression`.
        validation: Rows to validate on in place of `data.validation`: a share, or one of several folds.
    """
    config = replace(config, split=config.split_kind)
    stamp = () if config.path is None else paths.stamp(config.path)
    return Request(repr(config), problem, stamp, validation, config)
