"""Reads what `data.path` or `data.source` names as a table: rows of a file, files of texts, or known sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from trainkit.config import DataConfig
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema
from trainkit.data.preparation.settings import separate_settings
from trainkit.data.settings import OF_FILES, refuse_unused, table_options
from trainkit.data.sources import paths
from trainkit.data.sources.class_folders import LABEL, SPLIT, SPLITS, given_splits
from trainkit.data.sources.keras_datasets import KNOWN_SETS, load
from trainkit.data.sources.known_tables import KNOWN_TABLES, read_known_table
from trainkit.data.sources.stored_columns import StoredColumns
from trainkit.data.sources.stored_tables import read_any_table
from trainkit.data.sources.stored_texts import read_any_texts
from trainkit.data.sources.tables import Table
from trainkit.data.splits import Rows

__all__ = ["KNOWN_TEXTS", "read_by_settings", "read_new"]

KNOWN_TEXTS = ("imdb", "reuters")
TEXT = "text"  # column of files of texts
TEXT_FILES = {"path": "ignore", TEXT: "text", SPLIT: "ignore"}

Read = tuple[Table, DataConfig, Rows]


def read_by_settings(config: DataConfig, problem: str) -> Read:
    """The table that the settings name.

    Args:
        config: The settings.
        problem: `classification`, `regression`, or `text`: classes of texts.

    Returns:
        The table; the settings with a target and what the source knows of its columns; and the splits that
        the source has itself.

    Raises:
        UserError: for settings or files that cannot be used.
    """
    if config.path is None:
        refuse_unused(config, OF_FILES, "a known set is read into memory")
        return _known_texts(config) if problem == "text" else _known_table(config, problem)
    if config.source != "auto":
        raise UserError(f"data.source={config.source} and data.path={config.path}: expected one of both.")
    if problem == "text" and _format(config.path, config) == "text":
        table = _texts(config.path, config)
        given = given_splits(table.columns) if config.split == "auto" else {}
        known = {name: kind for name, kind in TEXT_FILES.items() if name in table.columns}
        if config.split == "column":
            known.pop(str(config.split_column), None)
        return table, _with_columns(replace(config, target=config.target or LABEL), known), given
    if problem == "text" and _format(config.path, config) == "images":
        raise UserError(
            f"data.path={config.path} holds images; expected a folder with a folder of .txt files per class, "
            "or a table as CSV or Parquet. For images, use task=image_classification."
        )
    table = read_any_table(config.path, table_options(config), config.memory, config.cache)
    if config.target is None:
        raise UserError(f"data.target is not set; expected one of the columns {', '.join(table.columns)}.")
    table, named = _with_named_files(table) if config.split == "auto" else (table, {})
    return table, _with_texts(config, table) if problem == "text" else config, named


def _with_named_files(table: Table) -> tuple[Table, Rows]:
    """The splits other than `train` that files such as `train.csv` and `test.csv` are, told in a note; none
    where a file has another name."""
    named = [SPLITS.get(name.partition(".")[0].lower(), "") for name, _ in table.files]
    if "" in named or "train" not in named or len(set(named)) < 2:
        return table, {}
    split_of = np.repeat(named, [count for _, count in table.files])
    names = ", ".join(dict.fromkeys(name for name, _ in table.files))
    note = f"the files {names} are splits; data.split=shuffled would join them"
    return replace(table, notes=(note, *table.notes)), given_splits({SPLIT: split_of})


def read_new(path: Any, config: DataConfig, *, texts: bool, labelled: bool = False) -> Table:
    """New rows.

    Args:
        path: Where they are.
        config: How the training's rows were read, with what the command says anew.
        texts: Whether they may be files of texts.
        labelled: Whether the folders of these are classes.

    Raises:
        UserError: if they cannot be read.
    """
    try:
        config = replace(config, format=_format_of_new(path, config))
        if texts and _format(path, config) == "text":
            return _texts(path, config, labelled=labelled)
        return read_any_table(path, table_options(config), config.memory, config.cache)
    except UserError as error:
        key = "evaluate.path" if labelled else "predict.path"
        raise UserError(str(error).replace("data.path", key)) from error


def _format_of_new(path: Any, config: DataConfig) -> str:
    """The format of new rows: by the names of the files, but as it was set where those do not tell, or where
    a table has a name that ends as those of texts do.

    Raises:
        UserError: if there is nothing to read, or neither says what it is.
    """
    found = paths.resolve(path)
    try:
        by_names = paths.detect_format(path)
    except UserError:
        if config.format == "auto":
            raise
        return config.format
    is_folder = any(file.is_dir() for file in found)
    return config.format if by_names == "text" and config.format != "auto" and not is_folder else by_names


def _texts(path: Any, config: DataConfig, *, labelled: bool = True) -> Table:
    return read_any_texts(
        path,
        labelled=labelled,
        encoding=config.encoding,
        skip_bad=config.skip_bad,
        memory=config.memory,
        cache=config.cache,
    )


def _format(path: Any, config: DataConfig) -> str:
    return paths.detect_format(path) if config.format == "auto" else config.format


def _with_columns(config: DataConfig, known: Mapping[str, Any]) -> DataConfig:
    """The settings with what is known of columns; what the user says of them wins."""
    return replace(config, columns={**known, **config.columns})


def _with_texts(config: DataConfig, table: Table) -> DataConfig:
    """The settings with the columns of free text as features, which a table else leaves out."""
    overrides, _ = separate_settings(config.columns)
    columns = table.columns
    if isinstance(columns, StoredColumns):
        columns = columns.shortened()
    schema = infer_schema(columns, overrides=overrides)
    found = {
        column.name: "text"
        for column in schema.columns
        if column.kind == "text" and column.name not in config.columns and column.name != config.target
    }
    chosen = [column.name for column in schema.features if column.kind == "text"]
    if not found and not chosen:
        raise UserError(
            f"data.path={config.path} has no column of free text; set data.columns.<name>=text for one, "
            "or use task=tabular_classification."
        )
    return _with_columns(config, found)


def _known_table(config: DataConfig, problem: str) -> Read:
    if config.source not in KNOWN_TABLES:
        raise UserError(
            f"task=tabular_{problem} needs data.path=<file> and data.target=<column>, or a known table: "
            f"data.source={' or '.join(KNOWN_TABLES)}."
        )
    table, target, unit = read_known_table(config.source, config.dir)
    if config.target in (None, target):
        config = _with_columns(replace(config, target=target), {target: {"unit": unit}})
    return table, config, {}


def _known_texts(config: DataConfig) -> Read:
    """Known texts, whose words are numbers by frequency: `1 14 22`; the words themselves are another file."""
    if config.source not in KNOWN_TEXTS:
        raise UserError(
            "task=text_classification needs data.path=<folder with a folder per class>, or data.path=<table> "
            f"and data.target=<column>, or known texts: data.source={' or '.join(KNOWN_TEXTS)}."
        )
    known = KNOWN_SETS[config.source]
    rows, source = load(known, config.source, config.dir)
    parts = [part for part in ("", "_train", "_test") if f"x{part}" in rows]
    lists = [ranks for part in parts for ranks in rows[f"x{part}"]]
    numbers = np.concatenate([rows[f"y{part}"] for part in parts])
    names = known.classes or tuple(map(str, range(int(numbers.max()) + 1)))
    texts = np.array([" ".join(map(str, ranks)) for ranks in lists], dtype=object)
    table = Table({TEXT: texts, LABEL: np.array(names, dtype=object)[numbers]}, source)
    test = {"test": np.arange(len(rows["x_train"]), len(texts))} if "_test" in parts else {}
    return table, _with_columns(replace(config, target=LABEL), {TEXT: "text"}), test
