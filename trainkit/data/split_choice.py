"""Which rows train, validate and test, by the settings of `data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trainkit.config import DataConfig
from trainkit.core.datasets import SPLITS, Fold
from trainkit.data import cells
from trainkit.data.schema import Schema
from trainkit.data.splits import Rows, SplitSettings, k_folds, split_rows, time_folds

__all__ = ["choose_rows", "split_values"]

FEW = 0.5  # of all rows that may be of rare classes, which then train


def split_values(config: DataConfig, schema: Schema, columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The column that groups, times or names of splits come from, if the settings name one."""
    if config.split_column is None or config.split == "auto":
        return None
    values = columns[config.split_column]
    return schema[config.split_column].times(values) if config.split == "time" else values


def choose_rows(
    config: DataConfig,
    kept: np.ndarray,
    classes: np.ndarray | None,
    by: np.ndarray | None,
    count: int,
    given: Rows | None = None,
    fold: Fold | None = None,
) -> Rows:
    """The row numbers of each split.

    Args:
        config: The settings.
        kept: Numbers of the rows that take part, ascending.
        classes: Class of each row `[count]`; None where there are none.
        by: The column `[count]` that groups, times or names of splits come from.
        count: Rows of the table.
        given: Splits that the data set has itself, which are not split again.
        fold: The fold of the training rows to validate on, in place of a share.

    Raises:
        UserError: for settings that cannot work, or a split that would be empty.
    """
    if fold is not None:
        known = {name: rows for name, rows in (given or {}).items() if name != "validation"}
        parts = choose_rows(config, kept, classes, by, count, known)
        return _validated_on(fold, parts, config, classes, by)
    if given:
        given = {name: np.intersect1d(rows, kept) for name, rows in given.items()}
        free = np.setdiff1d(kept, np.concatenate(list(given.values())))
        validation = 0.0 if "validation" in given else config.validation
        chosen = choose_rows(replace(config, test=0.0, validation=validation), free, classes, by, count)
        return {name: rows for name, rows in {**chosen, **given}.items() if len(rows)}
    if config.split == "file":
        settings = SplitSettings("file", file=config.split_file or "")
        parts = {name: rows[np.isin(rows, kept)] for name, rows in split_rows(count, settings).items()}
        return {name: rows for name, rows in parts.items() if len(rows)}
    labels = None if classes is None else classes[kept]
    within = None if by is None else by[kept]
    kind = config.split
    if kind == "auto" and labels is not None and config.folds is None:
        rare = _rare(config, labels)
        if 0 < rare.sum() <= FEW * len(rare):
            parts = choose_rows(config, kept[~rare], classes, by, count)
            return {**parts, "train": np.sort(np.concatenate([parts["train"], kept[rare]]))}
    if kind == "auto":
        kind = "stratified" if labels is not None and _can_stratify(config, labels) else "shuffled"
    settings = SplitSettings(kind, config.validation, config.test, config.seed)
    if config.folds is None:
        parts = split_rows(len(kept), settings, labels=labels, by=within)
    else:
        parts = _fold(config, settings, len(kept), labels, within)
    return {name: kept[parts[name]] for name in SPLITS if name in parts}


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
