"""A table prepared for a model: fitted on the training rows, then frozen."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.files import read_json, write_json
from trainkit.data.cells import NUMBER
from trainkit.data.columns import setting_of
from trainkit.data.preparation.categories import CategoryEncoder, fit_categories
from trainkit.data.preparation.dates import DateEncoder, fit_dates
from trainkit.data.preparation.encoder import ColumnEncoder
from trainkit.data.preparation.labels import (
    ClassLabels,
    NumberTarget,
    fit_class_labels,
    fit_number_target,
)
from trainkit.data.preparation.numeric import NumericEncoder, fit_numeric
from trainkit.data.preparation.settings import PreparationSettings
from trainkit.data.preparation.tokens import TokenEncoder, fit_tokens
from trainkit.data.schema import ColumnSchema, Schema
from trainkit.data.sources.stored_columns import StoredTexts

__all__ = ["NUMBERS", "Preparation", "PreparedInput", "fit_preparation"]

NUMBERS = "numbers"  # name of the array that all columns share which become numbers
FORMAT_NUMBER = 1
LISTED = 5  # columns that a message names

ENCODERS: tuple[Any, ...] = (NumericEncoder, CategoryEncoder, DateEncoder, TokenEncoder)
TARGETS: tuple[Any, ...] = (ClassLabels, NumberTarget)


@dataclass(frozen=True)
class PreparedInput:
    """One array that the model takes.

    Args:
        shape: Of one row.
        dtype: `float32`, or `int32` for indices.
        size: Number of different indices, the input size of an embedding; 0 for numbers.
        names: What each number stands for; for indices the name of the column.
    """

    shape: tuple[int, ...]
    dtype: str
    size: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Preparation:
    """Turns the columns of a table into what a model takes, and its outputs into what people read.

    Args:
        encoders: One per feature, in the order of the table.
        keys: Names of the features as a Keras input may have them, in the same order.
        target: Of the target, None without one.
    """

    encoders: tuple[ColumnEncoder, ...]
    keys: tuple[str, ...]
    target: ClassLabels | NumberTarget | None = None

    @property
    def categories(self) -> tuple[CategoryEncoder, ...]:
        """The encoders of the columns of categories."""
        return tuple(encoder for encoder in self.encoders if isinstance(encoder, CategoryEncoder))

    @property
    def inputs(self) -> dict[str, PreparedInput]:
        """The arrays that `encode` gives, by name, in alphabetical order."""
        found = {}
        names = tuple(name for encoder in self.encoders for name in encoder.names())
        if names:
            found[NUMBERS] = PreparedInput((len(names),), "float32", 0, names)
        for key, encoder in zip(self.keys, self.encoders, strict=True):
            if isinstance(encoder, CategoryEncoder) and encoder.own_array:
                found[key] = PreparedInput((), "int32", encoder.size, (encoder.name,))
            elif isinstance(encoder, TokenEncoder):
                found[key] = PreparedInput((encoder.length,), "int32", encoder.size, (encoder.name,))
        return dict(sorted(found.items()))

    def encode(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's inputs.

        Args:
            columns: As `Schema.read` gives them, `[N]` each.

        Returns:
            `numbers` float32 `[N, K]`, if a feature becomes numbers, and for each category to be embedded and
            each text its own int32 `[N]` or `[N, L]`, by the feature's key; in alphabetical order.
        """
        arrays = {}
        numbers = []
        for key, encoder in zip(self.keys, self.encoders, strict=True):
            if encoder.own_array:
                arrays[key] = encoder.encode(columns[encoder.name])
            else:
                numbers.append(encoder.encode(columns[encoder.name]))
        if numbers:
            arrays[NUMBERS] = np.concatenate(numbers, axis=1).astype(np.float32)
        return dict(sorted(arrays.items()))

    def arrays(
        self, columns: Mapping[str, np.ndarray], rows: np.ndarray, weight: np.ndarray | None = None
    ) -> Arrays:
        """The rows of one split, prepared.

        Args:
            columns: As `Schema.read` gives them, `[N]` each.
            rows: Row numbers `[n]`.
            weight: Weight of each row `[N]`, or None.
        """
        taken = {name: column[rows] for name, column in columns.items()}
        labels = None if self.target is None else self.target.encode(taken[self.target.name])
        return Arrays(self.encode(taken), labels, None if weight is None else weight[rows].astype(np.float32))

    def raw(self, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        """The features of some rows as they were before `encode`, by key; what `with_preprocessing` takes.

        Args:
            columns: As `Schema.read` gives them, `[N]` each.
            rows: Row numbers `[n]`.
        """
        named = zip(self.keys, self.encoders, strict=True)
        return {key: columns[encoder.name][rows] for key, encoder in named}

    def to_dict(self) -> dict[str, Any]:
        """Its whole state as JSON can hold it.

        Raises:
            UserError: if a number is not finite, which JSON cannot hold.
        """
        parts: list[Any] = [*self.encoders, *([self.target] if self.target else [])]
        for part in parts:
            if not _is_finite(part.to_dict()):
                raise UserError(f"data.columns.{part.name} has numbers too large to be prepared; mend them.")
        return {
            "format": FORMAT_NUMBER,
            "features": [encoder.to_dict() for encoder in self.encoders],
            "keys": list(self.keys),
            "target": None if self.target is None else self.target.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Preparation:
        """The inverse of `to_dict`.

        Raises:
            UserError: if the state is damaged.
        """
        try:
            if state["format"] != FORMAT_NUMBER:
                raise UserError(f"The preparation has format {state['format']}; expected {FORMAT_NUMBER}.")
            encoders = tuple(_restored(entry, ENCODERS) for entry in state["features"])
            target = state["target"] and _restored(state["target"], TARGETS)
            return cls(encoders, tuple(state["keys"]), target)
        except (KeyError, TypeError) as error:
            raise UserError(f"The preparation is damaged ({error!r}); expected what a run wrote.") from error

    def save(self, path: Path | str) -> None:
        """Write it as a JSON file."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path | str) -> Preparation:
        """Read what `save` wrote.

        Raises:
            UserError: if there is no such file, or it is damaged.
        """
        return cls.from_dict(read_json(path))


def fit_preparation(
    schema: Schema,
    columns: Mapping[str, np.ndarray],
    rows: np.ndarray,
    settings: PreparationSettings | None = None,
) -> Preparation:
    """Fit the preparation of a table to its training rows. No other row is looked at.

    Args:
        schema: Of the table.
        columns: As `schema.read` gives them, `[N]` each.
        rows: Numbers of the training rows.
        settings: How.

    Raises:
        UserError: if there are no features, or settings name a column that is none.
    """
    settings = settings or PreparationSettings()
    names = [feature.name for feature in schema.features]
    prepared = [*names, *(column.name for column in schema.with_role("target"))]
    for name in settings.columns:
        if name not in prepared:
            raise UserError(f"data.columns.{name}: there is no such feature; {did_you_mean(name, prepared)}")
    if not names:
        raise UserError(_without_features(schema))
    # One column after the other: all of them may not fit into memory.
    encoders = tuple(_fitted(feature, columns[feature.name], rows, settings) for feature in schema.features)
    known = schema.target
    target = None if known is None else _fitted_target(known, columns[known.name][rows], settings)
    return Preparation(encoders, _keys(names), target)


def _without_features(schema: Schema) -> str:
    """Why no column of a table goes into the model, and what may help."""
    out = schema.with_role("ignored")
    if not out:
        others = ", ".join(f"{column.name} ({column.role})" for column in schema.columns)
        return f"The table has no columns but {others}; expected others to predict from."
    told = [f"{column.name} ({_reason(column)})" for column in out[:LISTED]]
    more = f" and {len(out) - LISTED} more" if len(out) > LISTED else ""
    usable = next((column for column in out if column.distinct > 1), None)
    if usable is None:
        return (
            f"No column is left to predict from: {', '.join(told)}{more}. Expected one with several values."
        )
    is_number = all(NUMBER.fullmatch(example) for example in usable.examples)
    kind = "numeric" if is_number else "category"
    set_one = f"Set the kind of one, as in {setting_of(usable.name, kind)}"
    advice = next((note.partition(": ")[2] for note in usable.notes if "sign or unit" in note), set_one)
    return f"No column is left to predict from: {', '.join(told)}{more}. {advice}."


def _reason(column: ColumnSchema) -> str:
    notes = [note.removeprefix("left out: ") for note in column.notes if note.startswith("left out: ")]
    if notes:
        return notes[0].partition(";")[0]
    return "as it was set" if column.chosen else column.kind


def _fitted(
    feature: ColumnSchema, column: np.ndarray | StoredTexts, rows: np.ndarray, settings: PreparationSettings
) -> ColumnEncoder:
    own = settings.of(feature.name)
    if isinstance(column, StoredTexts):
        return fit_tokens(feature.name, column.parts(rows), own)
    values = column[rows]
    if feature.kind == "numeric":
        return fit_numeric(feature.name, values, own)
    if feature.kind == "date":
        return fit_dates(feature.name, values, feature.format, own)
    if feature.kind == "text":
        return fit_tokens(feature.name, [values], own)
    return fit_categories(feature.name, values, own, feature.missing, feature.booleans)


def _fitted_target(
    target: ColumnSchema, values: np.ndarray, settings: PreparationSettings
) -> ClassLabels | NumberTarget:
    if target.kind == "numeric":
        return fit_number_target(target.name, values, settings, target.unit)
    return fit_class_labels(target.name, values, settings)


def _is_finite(state: Any) -> bool:
    """Whether all numbers in a state of dicts, lists and tuples are finite."""
    if isinstance(state, (Mapping, list, tuple)):
        return all(map(_is_finite, state.values() if isinstance(state, Mapping) else state))
    return not isinstance(state, float) or math.isfinite(state)


def _restored(state: Mapping[str, Any], kinds: tuple[Any, ...]) -> Any:
    found = next((kind for kind in kinds if kind.kind == state["kind"]), None)
    if found is None:
        raise KeyError(state["kind"])
    return found.from_dict(state)


def _keys(names: list[str]) -> tuple[str, ...]:
    """Names of Keras inputs, which are names of arguments in an exported model: all different."""
    taken = {NUMBERS}
    keys = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        base = plain if plain[:1].isalpha() and not keyword.iskeyword(plain) else f"column_{plain}"
        key = base
        number = 2
        while key in taken:
            key = f"{base}_{number}"
            number += 1
        taken.add(key)
        keys.append(key)
    return tuple(keys)
