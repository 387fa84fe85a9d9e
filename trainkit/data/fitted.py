"""What was fitted to the training rows of a run, kept in its files, and new rows prepared by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.config import DataConfig
from trainkit.core.datasets import Arrays, NewRows, Source
from trainkit.core.errors import UserError
from trainkit.core.files import plain_json, read_json
from trainkit.core.row_view import selected
from trainkit.data import booleans, targets
from trainkit.data.columns import setting_of
from trainkit.data.preparation.labels import ClassLabels
from trainkit.data.preparation.preparation import Preparation
from trainkit.data.schema import ColumnSchema, Schema
from trainkit.data.sources.stored_columns import StoredColumns
from trainkit.data.sources.tables import Table
from trainkit.data.stored_rows import ReadColumns, prepared_rows
from trainkit.data.table_sources import read_new

__all__ = [
    "PREPARATION_FILE",
    "SCHEMA_FILE",
    "check_same_schema",
    "check_same_split",
    "fitted_files",
    "labelled_rows",
    "labels_of",
    "new_rows",
    "new_table",
    "placeholder_labels",
    "read_fitted",
]

SCHEMA_FILE = "schema.json"
PREPARATION_FILE = "preparation.json"


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


def check_same_split(config: DataConfig, before: Schema) -> None:
    """Refuse a column or a file that would name the splits of a run whose rows were drawn: former versions
    did not read these settings.

    Args:
        config: The settings.
        before: That the run keeps.

    Raises:
        UserError: with the setting that goes on as the run began.
    """
    kind = config.split_kind
    if config.split == "auto" and kind != "auto" and not before.split:
        value = getattr(config, f"split_{kind}")
        raise UserError(
            f"data.split_{kind}={value} names the splits now, and was not read when the run began: its rows "
            f"were drawn from all. Add data.split_{kind}=null, or start a new run."
        )


def check_same_schema(schema: Schema, before: Schema, source: Source, former: str | None = None) -> None:
    """Refuse a table that is not the one that a run was trained on, or is read or split in another way.

    Args:
        schema: Of the table as it is read now.
        before: That the run keeps.
        source: Where the rows come from now.
        former: As in `TableData`.

    Raises:
        UserError: naming the first difference.
    """
    before.check_unchanged(source)
    if former is not None and not before.split:
        of_files = "the files are splits now, and were joined"
        what = of_files if schema.split == "files" else "some rows named train validate now, and trained"
        remedy = (
            f"Add {former}, or start a new run." if former else "Train it anew; it predicts new rows only."
        )
        raise UserError(f"data.path={source.origin}: {what} when the run began. {remedy}.")
    names = [column.name for column in schema.columns]
    known = [column.name for column in before.columns]
    if names != known:
        raise UserError(
            f"data.path={source.origin} is read with the columns {', '.join(names[:5])} now, and was with "
            f"{', '.join(known[:5])} when the run began. Put the settings back, or start a new run."
        )
    for now, then in zip(schema.columns, before.columns, strict=True):
        changed = [f.name for f in fields(now) if getattr(now, f.name) != getattr(then, f.name)]
        # Other versions may tell of the same columns in other words, or need a setting to read them so.
        changed = [name for name in changed if name not in ("examples", "notes", "chosen")]
        if changed and not now.role == then.role == "ignored":
            _refuse_spellings(now, then)
            name = changed[0]
            raise UserError(
                f"data.columns.{now.name}: {name} is {getattr(now, name)!r} now, and was "
                f"{getattr(then, name)!r} when the run began. {_remedy(now, then, name)}, or start a new run."
            )


def _remedy(now: ColumnSchema, then: ColumnSchema, changed: str) -> str:
    """The setting by which a column is read as it was, also where another version judges it by its cells."""
    if changed not in ("kind", "role") or not {now.role, then.role} <= {"feature", "ignored"}:
        return "Put the setting back"
    return f"Set {setting_of(now.name, 'ignore' if then.role == 'ignored' else then.kind)} to go on as it did"


def _refuse_spellings(now: ColumnSchema, then: ColumnSchema) -> None:
    """Refuse a run of a version to which each spelling of true and false was a category of its own."""
    are_all = now.distinct == len(now.examples)
    merged = now.distinct < then.distinct and now.missing == then.missing
    if merged and are_all and booleans.known(now.examples):
        raise UserError(
            f"data.columns.{now.name}: the run is of a former version, to which true and false in several "
            f"spellings were {then.distinct} different values; they are {now.distinct} now "
            f"({', '.join(now.examples)}). Train it anew; as it is, it predicts new rows only."
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
    path: Any,
    config: DataConfig,
    schema: Schema,
    preparation: Preparation,
    *,
    texts: bool = False,
    labelled: bool = False,
) -> tuple[Arrays, Table, Callable[[], dict[str, np.ndarray]]]:
    """New rows, prepared as those of the training; labels that are not asked for are placeholders. With them
    the table that they come from, whose notes tell of categories and gaps that the training did not have, and
    what gives its features as `Preparation.raw` does.

    Args:
        path: A file like that of the training.
        config: How the training's was read.
        schema: Of the training's table.
        preparation: Fitted to its training rows.
        texts: Whether they may be files of texts.
        labelled: Whether they have the target, and the column of weights if the training's have one.

    Raises:
        UserError: if columns are missing, or cells are not of their columns' kinds.
    """
    table = read_new(path, config, texts=texts, labelled=labelled)
    columns: Mapping[str, Any]
    if isinstance(table.columns, StoredColumns):
        columns = stored = ReadColumns(schema, table.columns)
        stored.check()
        x = prepared_rows(stored, preparation, table.source.name, table.source.sha256, config.cache)
    else:
        columns = schema.read(table.columns, roles=("feature",))
        x = preparation.encode(columns)
    unseen = [encoder.note_unseen(columns[encoder.name]) for encoder in preparation.categories]
    gaps = [column.note_gaps(columns[column.name]) for column in schema.columns if column.role == "feature"]
    table = replace(table, notes=(*table.notes, *filter(None, unseen + gaps)))
    if labelled:
        kept, labels, weight = labels_of(table, config, schema, preparation)
        return Arrays({key: selected(array, kept) for key, array in x.items()}, labels, weight), table, dict
    arrays = Arrays(x, placeholder_labels(preparation, len(table)))
    return arrays, table, lambda: preparation.raw(columns, np.arange(len(table)))


def new_rows(
    path: Any, config: DataConfig, schema: Schema, preparation: Preparation, *, texts: bool
) -> NewRows:
    """New rows of a table, to be predicted. The arguments are those of `new_table`."""
    arrays, table, raw = new_table(path, config, schema, preparation, texts=texts)
    notes = list(table.notes)
    additional = schema.additional(table.columns)
    if additional:
        names = ", ".join(map(repr, additional))
        notes.append(f"{path} has columns that the training did not have, and that are not used: {names}")
    target = schema.target
    if target is not None and target.name in table.columns:
        advice = f"mode=evaluate evaluate.path={path} measures on it"
        notes.append(f"{path} has the target {target.name!r}: {advice}")
    named = {"path": list(table.columns["path"])} if texts and "path" in table.columns else {}
    return NewRows(arrays, table.source, named, tuple(notes), raw)


def labelled_rows(
    path: Any, config: DataConfig, schema: Schema, preparation: Preparation, *, texts: bool
) -> NewRows:
    """New rows of a table that have labels. The arguments are those of `new_table`."""
    arrays, table, _ = new_table(path, config, schema, preparation, texts=texts, labelled=True)
    return NewRows(arrays, table.source, notes=table.notes)


def labels_of(
    table: Table, config: DataConfig, schema: Schema, preparation: Preparation
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Of new rows the numbers `[n]` of those that have a target, their labels `[n, ...]`, and their weights
    `[n]` if those of the training have some.

    Args:
        table: As its source gives it.
        config: How the training's was read.
        schema: Of the training's table.
        preparation: Fitted to its training rows.

    Raises:
        UserError: for columns that are missing, rows without a target unless `data.skip_bad` leaves them out,
            and classes that the training did not have.
    """
    found = {column.role: column for column in schema.check_present(table.columns, ("target", "weight"))}
    values = {role: column.read(table.columns[column.name]) for role, column in found.items()}
    problem = "multi_label" if config.labels == "multi_label" else ""
    kept = targets.rows_with_target(found["target"].name, values["target"], problem, skip_bad=config.skip_bad)
    weight = values.get("weight")
    if weight is not None:
        targets.check_weights(found["weight"].name, weight)
        weight = weight[kept].astype(np.float32)
    assert preparation.target is not None
    target, given = preparation.target, values["target"][kept]
    # Rows of several files, or of lines some of which are left out, have no numbers that a file has.
    numbers = kept if len(table.files) == 1 and not config.skip_bad else None
    labels = target.encode(given, numbers) if isinstance(target, ClassLabels) else target.encode(given)
    return kept, labels, weight
