"""A table by the settings of `data`: read, understood, split and prepared, ready to be trained on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from trainkit.config import DataConfig
from trainkit.config.data import NAMED
from trainkit.core.datasets import Arrays, Fold, Source, Splits
from trainkit.core.row_view import selected
from trainkit.data import cells, targets
from trainkit.data.inference import infer_schema
from trainkit.data.preparation.preparation import Preparation, fit_preparation
from trainkit.data.preparation.settings import ColumnSettings, PreparationSettings, separate_settings
from trainkit.data.request import Request, request
from trainkit.data.schema import Schema
from trainkit.data.sources.stored_columns import StoredColumns, StoredTexts
from trainkit.data.sources.tables import Table
from trainkit.data.split_choice import split_by_settings
from trainkit.data.splits import Rows, find_duplicates
from trainkit.data.stored_rows import ReadColumns, prepared_rows
from trainkit.data.table_sources import read_by_settings

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
        cache: Folder of the files of a table that is not held in memory; None: in the user's cache.
        former: What gives the splits of runs without `Schema.split`, as in `split_by_settings`.
        one_file: Whether its rows are numbered as those of one file.
    """

    schema: Schema
    preparation: Preparation
    columns: Mapping[str, Any]
    rows: Rows
    source: Source
    notes: tuple[str, ...] = ()
    cache: str | None = None
    former: str | None = None
    one_file: bool = False

    def texts(self, rows: np.ndarray) -> dict[str, list[str]]:
        """Rows by their numbers `[n]` as texts, by column; ignored columns are left out."""
        return {name: cells.texts(column[rows]).tolist() for name, column in self.columns.items()}

    def splits(self, preparation: Preparation | None = None) -> Splits:
        """The prepared rows of each split.

        Args:
            preparation: To use in place of the one that was fitted to these rows.
        """
        chosen = preparation or self.preparation
        weight = next((self.columns[column.name] for column in self.schema.with_role("weight")), None)
        if isinstance(self.columns, ReadColumns):
            x = prepared_rows(self.columns, chosen, self.source.name, self.source.sha256, self.cache)
            parts = {name: self._stored(x, chosen, rows, weight) for name, rows in self.rows.items()}
        else:
            parts = {name: chosen.arrays(self.columns, rows, weight) for name, rows in self.rows.items()}
        if self.one_file:
            parts = {name: part.numbered(self.rows[name]) for name, part in parts.items()}
        return Splits(source=self.source, **parts)

    def _stored(
        self, x: Mapping[str, np.ndarray], chosen: Preparation, rows: np.ndarray, weight: np.ndarray | None
    ) -> Arrays:
        """The rows of one split, of which the inputs stay in their files."""
        target = chosen.target
        labels = None if target is None else target.encode(self.columns[target.name][rows])
        own = None if weight is None else weight[rows].astype(np.float32)
        return Arrays({key: selected(array, rows) for key, array in x.items()}, labels, own)


def table_data(config: DataConfig, problem: str, validation: float | Fold | None = None) -> TableData:
    """Read, split and prepare the table that `data` describes.

    The last table is kept, since a command asks for it more than once.

    Args:
        config: The settings.
        problem: `classification`, `regression`, or `text`: classes of texts.
        validation: Rows to validate on in place of `data.validation`: a share, or one of several folds.

    Raises:
        UserError: for settings, files or a target that cannot be used.
    """
    return _table_data(request(config, problem, validation))


@functools.lru_cache(maxsize=1)
def _table_data(asked: Request) -> TableData:
    table, config, given = read_by_settings(asked.config, asked.problem)
    return prepare_table(table, config, asked.problem, given, asked.held)


def prepare_table(
    table: Table,
    config: DataConfig,
    problem: str,
    given: Rows | None = None,
    held: float | Fold | None = None,
) -> TableData:
    """Understand, split and prepare a table.

    Args:
        table: As its source gives it.
        config: The settings, with a target.
        problem: `classification` or `regression`.
        given: Splits that the data set has itself.
        held: What validates in place of `data.validation`: a share of the rows, or one of several folds.

    Raises:
        UserError: for settings or a target that cannot be used.
    """
    if config.target is None:
        raise ValueError("A table needs a target.")
    problem = "classification" if problem == "text" else problem
    overrides, own = separate_settings(config.columns)
    if problem == "classification" and config.labels == "multi_label":
        problem = "multi_label"
    stored = table.columns if isinstance(table.columns, StoredColumns) else None
    schema = infer_schema(
        table.columns if stored is None else stored.shortened(),
        source=table.source,
        overrides=overrides,
        roles=_roles(config),
        problem=problem,
        missing=None if config.missing is None else tuple(map(str, config.missing)),
        notes=table.notes,
    )
    columns = schema.read(table.columns) if stored is None else ReadColumns(schema, stored)
    if config.weight is not None:
        targets.check_weights(config.weight, columns[config.weight])
    target = columns[config.target]
    are_splits = bool(given and table.files)
    if are_splits and problem != "multi_label":
        targets.check_files(config.target, target, table.files)
    kept = targets.rows_with_target(config.target, target, problem, skip_bad=config.skip_bad)
    classes = target if problem == "classification" else None
    schema = replace(schema, split=config.split if config.split in NAMED else "files" if are_splits else "")
    rows, said, former = split_by_settings(config, schema, columns, kept, classes, len(table), given, held)
    if problem == "classification":
        targets.check_classes(config.target, target, rows)
    preparation = fit_preparation(schema, columns, rows["train"], _preparation_settings(config, own))
    dropped = len(table) - len(kept)
    notes = [f"{dropped} rows have no target and are left out"] if dropped else []
    notes += said
    notes += targets.class_notes(problem, target, config.separator)
    notes += _duplicates(schema, columns, rows)
    one_file = len(table.files) == 1 and not config.skip_bad
    read = (schema, preparation, columns, rows, table.source, tuple(notes))
    return TableData(*read, cache=config.cache, former=former, one_file=one_file)


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


def _duplicates(schema: Schema, columns: Mapping[str, Any], rows: Rows) -> list[str]:
    features = (columns[feature.name] for feature in schema.features)
    compared = (c.numbers() if isinstance(c, StoredTexts) else c for c in features)
    return [str(found) for found in find_duplicates(compared, rows)]
