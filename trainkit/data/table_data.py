"""A table by the settings of `data`: read, understood, split and prepared, ready to be trained on."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.config import DataConfig, PreparationConfig
from trainkit.config.validation import validate_section
from trainkit.core.datasets import Arrays, Source, Splits
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.files import plain_json, read_json
from trainkit.data import targets
from trainkit.data.inference import infer_schema
from trainkit.data.preparation.preparation import Preparation, fit_preparation
from trainkit.data.preparation.settings import ColumnSettings, PreparationSettings, separate_settings
from trainkit.data.schema import Schema
from trainkit.data.sources import paths
from trainkit.data.sources.known_tables import KNOWN_TABLES, read_known_table
from trainkit.data.sources.tables import Table, TableOptions, read_table
from trainkit.data.split_choice import choose_rows
from trainkit.data.splits import Rows, find_duplicates

__all__ = [
    "PREPARATION_FILE",
    "SCHEMA_FILE",
    "TableData",
    "check_same_schema",
    "data_config",
    "fitted_files",
    "new_table",
    "placeholder_labels",
    "prepare_table",
    "read_fitted",
    "table_data",
    "table_options",
]

SCHEMA_FILE = "schema.json"
PREPARATION_FILE = "preparation.json"


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

    def files(self) -> dict[str, str]:
        """What a run keeps of it, by file name."""
        return fitted_files(self.schema, self.preparation)


def fitted_files(schema: Schema, preparation: Preparation) -> dict[str, str]:
    """The files that `read_fitted` reads, by name."""
    content = {SCHEMA_FILE: schema.to_dict(), PREPARATION_FILE: preparation.to_dict()}
    return {name: json.dumps(plain_json(state), indent=2) + "\n" for name, state in content.items()}


def read_fitted(run: Path) -> tuple[Schema, Preparation]:
    """The schema and the preparation that a run keeps.

    Raises:
        UserError: if it has none, or they are damaged.
    """
    for name in (SCHEMA_FILE, PREPARATION_FILE):
        if not (run / name).is_file():
            raise UserError(f"{run} has no {name}; expected a run that was trained on a table, or files.")
    return Schema.from_dict(read_json(run / SCHEMA_FILE)), Preparation.load(run / PREPARATION_FILE)


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


def table_options(config: DataConfig) -> TableOptions:
    """How to read the files of a table."""
    overrides, _ = separate_settings(config.columns)
    ignored = [name for name, kind in overrides.items() if kind == "ignore" or _kind(kind) == "ignore"]
    return TableOptions(
        format=config.format,
        delimiter=config.delimiter,
        encoding=config.encoding,
        header=config.header,
        decimal=config.decimal,
        skip_bad=config.skip_bad,
        ignore=tuple(ignored),
    )


def _kind(override: Any) -> Any:
    return override.get("kind") if isinstance(override, Mapping) else override


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
                f"task=tabular_{problem} needs data.path=<file> and data.target=<column>; or a known table by "
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


def check_same_schema(schema: Schema, before: Schema, source: Source) -> None:
    """Refuse a table that is not the one that a run was trained on, or is read in another way.

    Args:
        schema: Of the table as it is read now.
        before: That the run keeps.
        source: Where the rows come from now.

    Raises:
        UserError: naming the first difference.
    """
    before.check_unchanged(source)
    for now, then in zip(schema.columns, before.columns, strict=True):
        if now != then:
            name = next(f.name for f in fields(now) if getattr(now, f.name) != getattr(then, f.name))
            raise UserError(
                f"data.columns.{now.name}: {name} is {getattr(now, name)!r} now, and was "
                f"{getattr(then, name)!r} when the run began. Put the setting back, or start a new run."
            )


def placeholder_labels(preparation: Preparation, count: int) -> np.ndarray | None:
    """Labels of the right shape for rows whose labels are not known."""
    target = preparation.target
    if target is None:
        return None
    value = target.classes[0] if hasattr(target, "classes") else 0.0
    values = np.full(count, value, dtype=object if isinstance(value, str) else np.float64)
    return target.encode(values)


def new_table(
    path: Any, config: DataConfig, schema: Schema, preparation: Preparation
) -> tuple[Arrays, Table]:
    """New rows, prepared as those of the training; their labels are placeholders.

    Args:
        path: A file like that of the training.
        config: How the training's was read.
        schema: Of the training's table.
        preparation: Fitted to its training rows.

    Raises:
        UserError: if columns are missing, or cells are not of their columns' kinds.
    """
    table = read_table(path, replace(table_options(config), format="auto"))
    columns = schema.read(table.columns, roles=("feature",))
    return Arrays(preparation.encode(columns), placeholder_labels(preparation, len(table))), table
