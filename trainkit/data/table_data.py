"""A table by the settings of `data`: read, understood, split and prepared, ready to be trained on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from trainkit.config import DataConfig
from trainkit.core.datasets import Source, Splits
from trainkit.core.errors import UserError
from trainkit.data import targets
from trainkit.data.inference import infer_schema
from trainkit.data.preparation.preparation import Preparation, fit_preparation
from trainkit.data.preparation.settings import ColumnSettings, PreparationSettings, separate_settings
from trainkit.data.schema import Schema
from trainkit.data.settings import table_options
from trainkit.data.sources import paths
from trainkit.data.sources.known_tables import KNOWN_TABLES, read_known_table
from trainkit.data.sources.tables import Table, read_table
from trainkit.data.split_choice import choose_rows
from trainkit.data.splits import Rows, find_duplicates

__all__ = ["TableData", "prepare_table", "table_data"]


@dataclass(frozen=True)
class TableData:
    """A table that is ready to be trained on.

    Args:
        schema: What its columns are.
        preparation: Fitted to its training rows.
        columns: As the schema reads them, `[N]` each.
        rows: Row numbers of each split.
        source: Where the rows came from.
        notes: What people should know of the splits, one sentence each.
    """

    schema: Schema
    preparation: Preparation
    columns: Mapping[str, np.ndarray]
    rows: Rows
    source: Source
    notes: tuple[str, ...] = ()

    def splits(self, preparation: Preparation | None = None) -> Splits:
        """The prepared rows of each split.

        Args:
            preparation: To use in place of the one that was fitted to these rows.
        """
        chosen = preparation or self.preparation
        weight = next((self.columns[column.name] for column in self.schema.with_role("weight")), None)
        parts = {name: chosen.arrays(self.columns, rows, weight) for name, rows in self.rows.items()}
        return Splits(source=self.source, **parts)


@dataclass(frozen=True)
class _Request:
    """A table that was asked for. Two are the same if their settings are, and the files have not changed."""

    settings: str
    problem: str
    stamp: tuple[Any, ...]
    config: DataConfig = field(compare=False)


def table_data(config: DataConfig, problem: str) -> TableData:
    """Read, split and prepare the table that `data` describes.

    The last table is kept, since a command asks for it more than once.

    Args:
        config: The settings.
        problem: `classification` or `regression`.

    Raises:
        UserError: for settings, files or a target that cannot be used.
    """
    stamp = () if config.path is None else paths.stamp(config.path)
    return _table_data(_Request(repr(config), problem, stamp, config))


@functools.lru_cache(maxsize=1)
def _table_data(request: _Request) -> TableData:
    config = request.config
    table, target, unit = _read(config, request.problem)
    if unit:
        given = config.columns.get(target, {})
        own = {"unit": unit, **(dict(given) if isinstance(given, Mapping) else {"kind": given})}
        config = replace(config, columns={**config.columns, target: own})
    return prepare_table(table, replace(config, target=target), request.problem)


def _read(config: DataConfig, problem: str) -> tuple[Table, str, str]:
    """The table, its target and the target's unit."""
    if config.path is None:
        if config.source not in KNOWN_TABLES:
            raise UserError(
                f"task=tabular_{problem} needs data.path=<file> and data.target=<column>, or a known table: "
                f"data.source={' or '.join(KNOWN_TABLES)}."
            )
        table, target, unit = read_known_table(config.source, config.dir)
        return table, config.target or target, unit if config.target in (None, target) else ""
    if config.source != "auto":
        raise UserError(f"data.source={config.source} and data.path={config.path}: expected one of both.")
    table = read_table(config.path, table_options(config))
    if config.target is None:
        raise UserError(f"data.target is not set; expected one of the columns {', '.join(table.columns)}.")
    return table, config.target, ""


def prepare_table(table: Table, config: DataConfig, problem: str) -> TableData:
    """Understand, split and prepare a table.

    Args:
        table: As its source gives it.
        config: The settings, with a target.
        problem: `classification` or `regression`.

    Raises:
        UserError: for settings or a target that cannot be used.
    """
    if config.target is None:
        raise ValueError("A table needs a target.")
    overrides, own = separate_settings(config.columns)
    if problem == "classification" and config.labels == "multi_label":
        problem = "multi_label"
    schema = infer_schema(
        table.columns,
        source=table.source,
        overrides=overrides,
        roles=_roles(config),
        problem=problem,
        missing=None if config.missing is None else tuple(map(str, config.missing)),
        notes=table.notes,
    )
    columns = schema.read(table.columns)
    if config.weight is not None:
        targets.check_weights(config.weight, columns[config.weight])
    target = columns[config.target]
    kept = targets.rows_with_target(config.target, target, skip_bad=config.skip_bad)
    by = None
    if config.split_column is not None and config.split != "auto":
        values = columns[config.split_column]
        by = schema[config.split_column].times(values) if config.split == "time" else values
    rows = choose_rows(config, kept, target if problem == "classification" else None, by, len(table))
    if problem == "classification":
        targets.check_classes(config.target, target, rows)
    preparation = fit_preparation(schema, columns, rows["train"], _preparation_settings(config, own))
    notes = _notes(schema, columns, rows, problem, dropped=len(table) - len(kept))
    return TableData(schema, preparation, columns, rows, table.source, notes)


def _roles(config: DataConfig) -> dict[str, str]:
    roles: dict[str, str] = {}
    given = [(config.weight, "weight"), (config.target, "target")]
    if config.split in ("group", "time", "column"):
        given.insert(0, (config.split_column, {"column": "split"}.get(config.split, config.split)))
    for name, role in given:
        if name is not None:
            roles[name] = role
    return roles


def _preparation_settings(config: DataConfig, own: Mapping[str, Mapping[str, Any]]) -> PreparationSettings:
    return PreparationSettings(
        defaults=ColumnSettings(**asdict(config.preparation)),
        columns=own,
        labels=config.labels,
        separator=config.separator,
        target_scaling=config.target_scaling,
    )


def _notes(
    schema: Schema, columns: Mapping[str, np.ndarray], rows: Rows, problem: str, *, dropped: int
) -> tuple[str, ...]:
    notes = [f"{dropped} rows have no target and are left out"] if dropped else []
    target = schema.target
    if target is not None and problem == "classification":
        single = targets.single_rows(columns[target.name])
        notes += [f"class {name!r} has one row only" for name in single]
    features = [columns[feature.name] for feature in schema.features]
    return (*notes, *map(str, find_duplicates(features, rows)))
