"""Checks the arguments of `export_model` before anything is computed or written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from trainkit.config.export import FORMATS, QUANTIZE
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, did_you_mean
from trainkit.export.twins import all_layers

__all__ = ["as_rows", "check_model", "check_numbers", "chosen"]

KINDS = tuple(kind for kind in QUANTIZE if kind not in ("none", "all"))


def chosen(formats: Sequence[str] | str, quantize: Sequence[str] | str) -> tuple[tuple[str, ...], list[str]]:
    """The formats, and the names of all files: `litert` and `int8` give `litert` and `litert_int8`.

    Raises:
        UserError: for unknown ones, no format, or `quantize` without the format that has it.
    """
    formats = FORMATS if formats == "all" else _names("formats", formats)
    quantize = _names("quantize", quantize)
    if not formats:
        raise UserError(f"formats is empty; expected at least one of {', '.join(FORMATS)}.")
    for name, values, known in (("format", formats, FORMATS), ("quantize", quantize, KINDS)):
        for value in values:
            if value not in known:
                raise UserError(f"Unknown {name} {value!r}; {did_you_mean(str(value), known)}")
    if quantize and "litert" not in formats:
        raise UserError(
            f"quantize={quantize} is for LiteRT; expected litert among the formats, got {', '.join(formats)}."
        )
    return formats, [*formats, *(f"litert_{kind}" for kind in quantize)]


def _names(argument: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise UserError(f"{argument}={given!r}: expected a name, or a list of names.")
    return tuple(dict.fromkeys(given))


def check_numbers(compare: Any, tolerance: Any) -> None:
    """Refuse numbers by which nothing can be compared.

    Raises:
        UserError: naming the argument.
    """
    if isinstance(compare, bool) or not isinstance(compare, (int, np.integer)) or compare < 1:
        raise UserError(f"compare={compare!r}: expected a number of rows, at least 1.")
    if (
        isinstance(tolerance, bool)
        or not isinstance(tolerance, (int, float, np.number))
        or not tolerance >= 0
    ):
        raise UserError(f"tolerance={tolerance!r}: expected a number of at least 0, such as 1e-5.")


def check_model(model: Any) -> None:
    """Refuse what is no model, and one that takes a fixed number of rows.

    Raises:
        UserError: naming what it is.
    """
    if not isinstance(model, keras.Model):
        raise UserError(
            f"model is {type(model).__name__}; expected a keras.Model, such as the `model` of a Trainer."
        )
    fixed = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or [] if tensor.shape[0]]
    stateful = [layer.name for layer in all_layers(model) if getattr(layer, "stateful", False)]
    if fixed and stateful:
        raise UserError(
            f"The model takes batches of {fixed[0][0]} rows, batch_shape={fixed[0]}, and {stateful[0]} keeps "
            f"a state from batch to batch; expected a model of any number of rows. Build it with "
            f"keras.Input({fixed[0][1:]}) and without stateful=True, give it these weights by set_weights, "
            "and export it by tk.export.export_model."
        )


def as_rows(rows: Any) -> Arrays:
    """Rows as `Arrays`; those that are given as the model takes them have no labels.

    Raises:
        UserError: for what is no array.
    """
    return rows if isinstance(rows, Arrays) else Arrays(rows)
