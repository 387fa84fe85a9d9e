"""Which rows train, validate and test, by the settings of `data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trainkit.config import DataConfig
from trainkit.config.data import NAMED
from trainkit.core.datasets import SPLITS, Fold
from trainkit.core.errors import UserError
from trainkit.data import cells
from trainkit.data.schema import Schema
from trainkit.data.settings import refuse_unused
from trainkit.data.splits import Rows, SplitSettings, k_folds, split_rows, time_folds

__all__ = ["choose_rows", "drawn_by", "split_by_settings"]

FEW = 0.5  # of all rows that may be of rare classes, which then train


def split_by_settings(
    config: DataConfig,
    schema: Schema,
    columns: Mapping[str, np.ndarray],
    kept: np.ndarray,
    classes: np.ndarray | None,
    count: int,
    given: Rows | None = None,
    held: float | Fold | None = None,
) -> tuple[Rows, list[str], str | None]:
    """The row numbers of each split; what people should know of them, one sentence each; and the setting that
    splits as runs without `Schema.split` were: "" where none does, None where the splits are the same.

    Args:
        config: The settings, in which `split` is not `auto` where a column or a file names the splits.
        schema: What the columns are.
        columns: As the schema reads them.
        given: Splits that the data set has itself.

    The others, and what is raised, are those of `choose_rows`.
    """
    by = None
    if config.split_column is not None:
        by = columns[config.split_column]
        by = schema[config.split_column].times(by) if config.split == "time" else by
    known = _named(config, kept, by, count, given)
    split = config.split
    former = None
    if schema.split == "files":
        kind = drawn_by(config, None if classes is None else classes[kept])
        former = kind and f"data.split={kind}"
    if known or split in NAMED:
        _refuse_unread(config, known, held, f", which {former} would join" if former else "")
        config = replace(config, split="auto" if split in NAMED else split, test=0.0)
    rows = choose_rows(config, kept, classes, by, count, known, held)
    notes = []
    if split == "file" and "test" in known:
        first = int(known["test"][0])
        notes.append(f"data.split_file counts rows from 0: its test row {first} is row {first + 1}")
    if known and "validation" not in known and "validation" in rows and held is None:
        notes.append(
            f"the data name no validation rows: {len(rows['validation'])} of the training rows validate, "
            f"data.validation={config.validation:g} of them"
        )
        former = "data.validation=0" if split in NAMED else former
    return rows, notes, former


def choose_rows(
    config: DataConfig,
    kept: np.ndarray,
    classes: np.ndarray | None,
    by: np.ndarray | None,
    count: int,
    given: Rows | None = None,
    held: float | Fold | None = None,
) -> Rows:
    """The row numbers of each split.

    Args:
        config: The settings.
        kept: Numbers of the rows that take part, ascending.
        classes: Class of each row `[N]`; None where there are none.
        by: The column `[N]` that groups, times or names of splits come from.
        count: Rows of the table, N.
        given: Rows that take part, and whose splits are known, the training apart.
        held: What validates in place of `data.validation` and of rows that are named for it: a share of the
            rows that are not test rows, or one of several folds of them.

    Raises:
        UserError: for settings that cannot work, or a split that would be empty.
    """
    if held is not None:
        given = {name: rows for name, rows in (given or {}).items() if name != "validation"}
        share = 0.0 if isinstance(held, Fold) else held
        parts = choose_rows(replace(config, validation=share), kept, classes, by, count, given)
        return _validated_on(held, parts, config, classes, by) if isinstance(held, Fold) else parts
    if given:
        free = np.setdiff1d(kept, np.concatenate(list(given.values())))
        if not len(free):
            raise UserError("The data name no row that has a target for the training; expected some.")
        validation = 0.0 if "validation" in given else config.validation
        chosen = choose_rows(replace(config, test=0.0, validation=validation), free, classes, by, count)
        return {name: rows for name, rows in {**chosen, **given}.items() if len(rows)}
    labels = None if classes is None else classes[kept]
    within = None if by is None else by[kept]
    kind = config.split
    if kind == "auto":
        kind = drawn_by(config, labels)
        if not kind:
            assert labels is not None
            rare = _rare(config, labels)
            parts = choose_rows(config, kept[~rare], classes, by, count)
            return {**parts, "train": np.sort(np.concatenate([parts["train"], kept[rare]]))}
    settings = SplitSettings(kind, config.validation, config.test, config.seed)
    if config.folds is None:
        parts = split_rows(len(kept), settings, labels=labels, by=within)
    else:
        parts = _fold(config, settings, len(kept), labels, within)
    return {name: kept[parts[name]] for name in SPLITS if name in parts}


def drawn_by(config: DataConfig, labels: np.ndarray | None) -> str:
    """What `data.split` draws the same rows as `auto` does; "" where none does, since rare classes train.

    Args:
        config: The settings.
        labels: Class of each row that takes part `[n]`; None where there are none.
    """
    if labels is None:
        return "shuffled"
    rare = _rare(config, labels)
    if config.folds is None and 0 < rare.sum() <= FEW * len(rare):
        return ""
    return "stratified" if _can_stratify(config, labels) else "shuffled"


def _named(
    config: DataConfig, kept: np.ndarray, by: np.ndarray | None, count: int, given: Rows | None
) -> Rows:
    """The rows of the splits, the training apart, that the column or the file names, else the data set."""
    if config.split in NAMED:
        settings = SplitSettings(config.split, file=config.split_file or "")
        if by is not None:
            names = np.full(count, "train", dtype=object)  # rows that take no part may hold anything
            names[kept] = by[kept]
            by = names
        given = split_rows(count, settings, by=by)
    parts = {name: np.intersect1d(rows, kept) for name, rows in (given or {}).items() if name != "train"}
    return {name: rows for name, rows in parts.items() if len(rows)}


def _refuse_unread(config: DataConfig, given: Rows, held: float | Fold | None, how: str) -> None:
    """Refuse settings that would choose what is given."""
    refuse_unused(config, ("folds",), f"the data name their splits{how}")
    for name in given:
        if name == "test" or held is None:
            refuse_unused(config, (name,), f"the data name their {name} rows{how}")


def _fold(
    config: DataConfig,
    settings: SplitSettings,
    count: int,
    labels: np.ndarray | None,
    by: np.ndarray | None,
) -> Rows:
    """One fold tests; of the others a share validates."""
    stratify = labels if settings.kind == "stratified" else None
    groups = by if settings.kind == "group" else None
    folds = k_folds(count, config.folds or 0, config.seed, labels=stratify, groups=groups)
    rest, test = folds[config.fold]
    inner = SplitSettings(settings.kind, settings.validation, 0.0, settings.seed)
    parts = split_rows(
        len(rest),
        inner,
        labels=None if labels is None else labels[rest],
        by=None if by is None else by[rest],
    )
    return {**{name: rest[rows] for name, rows in parts.items()}, "test": test}


def _validated_on(
    fold: Fold, parts: Rows, config: DataConfig, classes: np.ndarray | None, by: np.ndarray | None
) -> Rows:
    """Splits in which one fold of the training rows validates."""
    train = parts["train"]
    if by is not None and config.split == "time":
        rest, held = time_folds(by[train], fold.folds)[fold.number]
        return {**parts, "train": train[rest], "validation": train[held]}
    labels = None if classes is None else classes[train]
    stratify = None
    if labels is not None and config.split in ("auto", "stratified"):
        smallest = np.bincount(cells.distinct(labels)[1]).min()
        stratify = labels if smallest >= fold.folds else None
    groups = by[train] if by is not None and config.split == "group" else None
    rest, held = k_folds(len(train), fold.folds, config.seed, labels=stratify, groups=groups)[fold.number]
    return {**parts, "train": train[rest], "validation": train[held]}


def _rare(config: DataConfig, labels: np.ndarray) -> np.ndarray:
    """Which rows `[N]` are of classes with too few rows for one in each part. They train."""
    _, codes = cells.distinct(labels)
    parts = 1 + (config.validation > 0) + (config.test > 0)
    return np.asarray(np.bincount(codes)[codes] < parts)


def _can_stratify(config: DataConfig, labels: np.ndarray) -> bool:
    """Whether every part gets a row of every class."""
    values, codes = cells.distinct(labels)
    counts = np.bincount(codes)
    parts = config.folds or (1 + (config.validation > 0) + (config.test > 0))
    if counts.min() < parts + (config.folds is not None and config.validation > 0):
        return False
    test = 1 / config.folds if config.folds else config.test
    held = [test, (1 - test) * config.validation]
    return all(share == 0 or share * len(labels) >= len(values) for share in held)
