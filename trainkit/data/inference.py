"""Infers the schema of a table from its columns and from what the user says about them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data import kinds, targets
from trainkit.data.columns import COLUMNS, SETTINGS
from trainkit.data.date_formats import DateFormat
from trainkit.data.kinds import Cells
from trainkit.data.schema import KINDS, ROLES, ColumnSchema, Schema

__all__ = ["PROBLEMS", "ColumnOverride", "infer_schema"]

PROBLEMS = ("classification", "multi_label", "regression")
IGNORE = "ignore"
UNNAMED = re.compile(r"column_\d+")  # as a CSV file's reader calls them


@dataclass(frozen=True)
class ColumnOverride:
    """What a user sets for one column: `data.columns.<name>=<kind>`, or a mapping of these fields.

    Args:
        kind: One of `KINDS`, or `ignore`; None: inferred.
        missing: Texts that are gaps in this column; None: as for the whole table.
        format: How its dates are written; None: inferred.
        unit: Unit of its numbers.
    """

    kind: str | None = None
    missing: tuple[str, ...] | None = None
    format: str | None = None
    unit: str = ""

    @classmethod
    def of(cls, name: str, value: Any) -> ColumnOverride:
        """Reads a setting.

        Raises:
            UserError: if it is not one.
        """
        if isinstance(value, cls):
            return value
        settings = dict(value) if isinstance(value, Mapping) else {"kind": value}
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise UserError(f"data.columns.{name}.{key} is no setting; {did_you_mean(str(key), known)}")
        if settings.get("missing") is not None:
            settings["missing"] = tuple(map(str, settings["missing"]))
        kind = settings.get("kind")
        if kind is not None and kind not in (*KINDS, "ignore"):
            known_kinds = [*KINDS, "ignore"]
            raise UserError(f"data.columns.{name}={kind} is no kind; {did_you_mean(str(kind), known_kinds)}")
        if settings.get("format") is not None:
            DateFormat(settings["format"])
            settings.setdefault("kind", "date")
        return cls(**settings)


def infer_schema(
    columns: Mapping[str, np.ndarray],
    *,
    source: Source | None = None,
    overrides: Mapping[str, Any] | None = None,
    roles: Mapping[str, str] | None = None,
    problem: str = "",
    missing: Collection[str] | None = None,
    notes: Collection[str] = (),
) -> Schema:
    """Infer the schema of a table from its raw columns.

    Args:
        columns: Raw columns by name: object arrays `[N]` of texts with "" for gaps, or numbers `[N]`.
        source: Where they come from, for the checksum.
        overrides: Settings of single columns, as `ColumnOverride` takes them.
        roles: Roles of columns other than features, e.g. `{"price": "target", "fold": "split"}`.
        problem: One of `PROBLEMS`: whether the target names a class, several, or is a number. "": by its
            cells.
        missing: Texts that are gaps in every column. None: the usual ones (`MARKERS`) are gaps in columns of
            numbers and dates, and values in columns of texts.
        notes: Decisions of the source, kept with the others.

    Raises:
        UserError: for settings of columns that do not exist, columns of mixed kinds, and a target that cannot
            be learned.
    """
    roles = roles or {}
    if problem and problem not in PROBLEMS:
        raise UserError(f"{problem!r} is no kind of problem; {did_you_mean(problem, PROBLEMS)}")
    for name in overrides or {}:
        _check_exists(f"data.columns.{name}", name, columns)
    settings = {name: ColumnOverride.of(name, value) for name, value in (overrides or {}).items()}
    for name, role in roles.items():
        if role not in ROLES:
            raise UserError(f"{role!r} is no role of a column; {did_you_mean(role, ROLES)}")
        key = role if role in ("target", "weight") else "split_column"
        _check_exists(f"data.{key}={name}", name, columns)
    inferred = []
    for name, values in columns.items():
        setting = settings.get(name, ColumnOverride())
        gaps = setting.missing if setting.missing is not None or missing is None else tuple(missing)
        cells = Cells(name, values, gaps)
        inferred.append(_column(cells, setting, roles.get(name, ""), problem))
    source = source or Source()
    rows = len(next(iter(columns.values()))) if columns else 0
    return Schema(tuple(inferred), rows, source.origin, source.sha256, tuple(notes))


def _check_exists(key: str, name: str, columns: Mapping[str, np.ndarray]) -> None:
    if name in columns:
        return
    column, _, setting = name.rpartition(".")
    if column in columns and key.startswith(COLUMNS):
        raise UserError(f"{key} is no setting; {did_you_mean(setting, SETTINGS)}")
    unnamed = [column for column in columns if UNNAMED.fullmatch(column)]
    is_header = 0 < len(unnamed) < len(columns)  # of a CSV file, and perhaps a title
    hint = " The first line of the file is read as the names of the columns." if is_header else ""
    raise UserError(f"{key}: the data have no column {name!r}; {did_you_mean(name, list(columns))}{hint}")


def _column(cells: Cells, setting: ColumnOverride, role: str, problem: str) -> ColumnSchema:
    if role == "target":
        targets.check_target(cells, problem)
    kind = setting.kind or _kind_by_role(role, problem)
    if setting.kind == IGNORE:
        found = cells.found("text")
    elif kind:
        found = kinds.as_kind(cells, kind, setting.format)
    else:
        found = kinds.inferred(cells)
    left_out = found.kind in ("id", "constant") or (found.kind == "text" and setting.kind != "text")
    role = role or ("ignored" if left_out else "feature")
    return replace(found, role=role, unit=setting.unit, chosen=setting.kind is not None)


def _kind_by_role(role: str, problem: str) -> str:
    """The kind that a column must have for its role; "": any."""
    if role == "target":
        return {"regression": "numeric", "": ""}.get(problem, "category")
    return {"split": "category", "group": "category", "weight": "numeric"}.get(role, "")
