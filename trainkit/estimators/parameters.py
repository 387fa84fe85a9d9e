"""The parameters of the estimators: settings of trainkit among them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from trainkit.config import OptimizerConfig, TrainerConfig, validate_section
from trainkit.core.errors import UserError

__all__ = ["SECTIONS", "changed", "check_parameters", "check_settings", "checked_weight", "section_of"]

SECTIONS = {"trainer": TrainerConfig, "optimizer": OptimizerConfig}


def check_parameters(estimator: Any) -> None:
    """Refuse parameters that are impossible, as scikit-learn does: when `fit` is called.

    Raises:
        ValueError: what came, and what was expected.
    """
    units = estimator.units
    good = isinstance(units, (Sequence, np.ndarray)) and not isinstance(units, str)
    if not good or not all(isinstance(n, (int, np.integer)) and n >= 1 for n in units):
        raise ValueError(f"units={units!r}: expected whole numbers of at least 1, such as (64, 64).")
    ranges: dict[str, tuple[Callable[[float], bool], str]] = {
        "dropout": (lambda v: 0 <= v < 1, "from 0 to less than 1"),
        "validation_fraction": (lambda v: 0 < v < 1, "between 0 and 1"),
        "patience": (lambda v: v >= 1 and v % 1 == 0, "of at least 1, without a fraction"),
        "verbose": (lambda v: v >= 0, "of at least 0"),
    }
    for name, (meets, expected) in ranges.items():
        value = getattr(estimator, name)
        if not isinstance(value, (int, float, np.number)) or not meets(float(value)):
            raise ValueError(f"{name}={value!r}: expected a number {expected}.")


def check_settings(trainer: TrainerConfig, optimizer: OptimizerConfig) -> None:
    """Refuse settings of trainkit that are impossible, or that an estimator does not follow.

    Raises:
        ValueError: what came, and what was expected.
    """
    try:
        validate_section(trainer, "trainer")
        validate_section(optimizer, "optimizer")
    except UserError as error:
        raise ValueError(str(error)) from error
    if trainer.engine != "trainkit":
        raise ValueError(
            f"trainer__engine={trainer.engine!r}: estimators train by trainkit's loop; leave it out."
        )


def checked_weight(sample_weight: Any, x: np.ndarray) -> np.ndarray:
    """A weight for each row.

    Raises:
        ValueError: for weights of another shape, or below 0.
    """
    if isinstance(sample_weight, Real):
        sample_weight = np.full(len(x), sample_weight)
    weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar; got {weight.ndim} dimensions.")
    check_consistent_length(weight, x)
    if weight.min() < 0:
        raise ValueError("Negative values in sample_weight; expected weights of at least 0.")
    return np.asarray(weight)


def section_of(name: str) -> str | None:
    """The section of settings that a parameter belongs to: `trainer` for `trainer__epochs`."""
    section, found, _ = name.partition("__")
    return section if found and section in SECTIONS else None


def changed(settings: Any, name: str, value: Any) -> Any:
    """Settings with one of them changed: `clip__norm` for `OptimizerConfig`.

    Raises:
        ValueError: for a name that does not exist.
    """
    first, _, rest = name.partition("__")
    if settings is SECTIONS:
        return changed(SECTIONS[first](), rest, value)
    known = [field.name for field in fields(settings)]
    if first not in known:
        raise ValueError(
            f"Invalid parameter {name!r} of {type(settings).__name__}; it has {', '.join(known)}."
        )
    if not rest:
        return replace(settings, **{first: value})
    inner = getattr(settings, first)
    if isinstance(inner, dict):
        return replace(settings, **{first: {**inner, rest: value}})
    if not is_dataclass(inner):
        raise ValueError(f"Invalid parameter {name!r} of {type(settings).__name__}: {first} has no {rest}.")
    return replace(settings, **{first: changed(inner, rest, value)})
