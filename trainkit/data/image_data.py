"""Images by the settings of `data`: read, split and labelled, ready to be trained on."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainkit.config import DataConfig
from trainkit.config.data import NAMED
from trainkit.core.datasets import Arrays, Fold, NewRows, Source, Splits
from trainkit.core.errors import UserError
from trainkit.core.row_view import selected
from trainkit.data import fitted, targets
from trainkit.data.inference import infer_schema
from trainkit.data.preparation.labels import fit_class_labels
from trainkit.data.preparation.preparation import Preparation
from trainkit.data.preparation.settings import PreparationSettings
from trainkit.data.request import Request, request
from trainkit.data.schema import Schema
from trainkit.data.settings import OF_FILES, refuse_unused, table_options
from trainkit.data.sources.class_folders import LABEL, given_splits
from trainkit.data.sources.images import ImageOptions, read_images
from trainkit.data.sources.keras_datasets import KNOWN_SETS, load
from trainkit.data.sources.tables import Table
from trainkit.data.split_choice import split_by_settings
from trainkit.data.splits import Rows, find_duplicates

__all__ = ["KNOWN_IMAGES", "ImageData", "image_data", "new_images"]

KNOWN_IMAGES = ("mnist", "fashion_mnist", "cifar10")


@dataclass(frozen=True)
class ImageData:
    """Images that are ready to be trained on.

    Args:
        x: uint8 `[N, H, W, C]`, from 0 to 255.
        schema: Of the table with a row per image: paths, classes and whatever else it has.
        preparation: Of the labels, fitted to the training rows.
        labels: Class of each image `[N]`.
        weight: Weight of each image `[N]`, or None.
        rows: Row numbers of each split.
        source: Where the images came from.
        notes: What people should know of the splits, one sentence each.
        former: What gives the splits of runs without `Schema.split`, as in `split_by_settings`.
    """

    x: np.ndarray
    schema: Schema
    preparation: Preparation
    labels: np.ndarray
    weight: np.ndarray | None
    rows: Rows
    source: Source
    notes: tuple[str, ...] = ()
    former: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self.x.shape[1:]

    def splits(self, preparation: Preparation | None = None) -> Splits:
        """The images of each split.

        Args:
            preparation: Of the labels, to use in place of the one that was fitted to these rows.
        """
        target = (preparation or self.preparation).target
        if target is None:
            raise ValueError("Images need classes.")
        parts = {}
        for name, rows in self.rows.items():
            weight = None if self.weight is None else self.weight[rows].astype(np.float32)
            parts[name] = Arrays(selected(self.x, rows), target.encode(self.labels[rows]), weight)
        return Splits(source=self.source, **parts)


def image_data(config: DataConfig, validation: float | Fold | None = None) -> ImageData:
    """Read, label and split the images that `data` describes. The last ones are kept, since a command asks
    for them more than once.

    Args:
        config: The settings.
        validation: Rows to validate on in place of `data.validation`: a share, or one of several folds.

    Raises:
        UserError: for settings, files or classes that cannot be used.
    """
    return _image_data(request(config, "classification", validation))


@functools.lru_cache(maxsize=1)
def _image_data(asked: Request) -> ImageData:
    config = asked.config
    if config.path is not None and config.source != "auto":
        raise UserError(f"data.source={config.source} and data.path={config.path}: expected one of both.")
    if config.path is not None:
        images = read_images(config.path, _options(config))
        given = given_splits(images.table.columns) if config.split == "auto" else {}
        return _labelled(images.x, images.table, asked, given, images.prints)
    if config.source not in KNOWN_IMAGES:
        raise UserError(
            "task=image_classification needs data.path=<folder with a folder per class, or table of paths>, "
            f"or known images: data.source={', '.join(KNOWN_IMAGES)}."
        )
    return _known(asked)


def _known(asked: Request) -> ImageData:
    """A known set, whose test rows are given."""
    config = asked.config
    refuse_unused(config, OF_FILES, "a known set is read into memory")
    known = KNOWN_SETS[config.source]
    rows, source = load(known, config.source, config.dir)
    parts = [(rows[f"x_{part}"], rows[f"y_{part}"].reshape(-1)) for part in ("train", "test")]
    x = np.concatenate([images for images, _ in parts])
    x = x if x.ndim == 4 else x[..., None]
    names = np.array(known.classes, dtype=object)
    labels = names[np.concatenate([numbers for _, numbers in parts])]
    count = len(parts[0][0])
    table = Table({LABEL: labels}, source)
    return _labelled(x, table, asked, {"test": np.arange(count, len(x))})


def _options(config: DataConfig) -> ImageOptions:
    size = config.image_size
    return ImageOptions(
        size=None if size is None else (size[0], size[1]),
        channels=config.channels,
        path_column=config.path_column or "",
        skip_bad=config.skip_bad,
        memory=config.memory,
        cache=config.cache or "",
        table=replace(table_options(config), format="auto"),
    )


def _labelled(
    x: np.ndarray, table: Table, asked: Request, given: Rows, prints: np.ndarray | None = None
) -> ImageData:
    """Images with their classes, split.

    Args:
        x: uint8 `[N, H, W, C]`.
        table: A row per image.
        asked: What was asked for.
        given: Splits that the data set has itself.
        prints: Fingerprint of each image `[N]`, where it is known already.
    """
    config = asked.config
    target = config.target or (LABEL if LABEL in table.columns else None)
    if target is None:
        raise UserError(f"data.target is not set; expected one of the columns {', '.join(table.columns)}.")
    problem = "multi_label" if config.labels == "multi_label" else "classification"
    roles = {target: "target", **({config.weight: "weight"} if config.weight is not None else {})}
    if config.split in ("group", "column") and config.split_column is not None:
        roles[config.split_column] = "split" if config.split == "column" else "group"
    others = {name: "ignore" for name in table.columns if name not in roles}
    if config.split == "time" and config.split_column is not None:
        roles[config.split_column] = "time"
        others.pop(config.split_column, None)
    schema = infer_schema(
        table.columns,
        source=table.source,
        overrides={**others, **config.columns},
        roles=roles,
        problem=problem,
        notes=table.notes,
    )
    schema = replace(schema, split=config.split if config.split in NAMED else "")
    columns = schema.read(table.columns)
    labels = columns[target]
    kept = targets.rows_with_target(target, labels, problem, skip_bad=config.skip_bad)
    classes = labels if problem == "classification" else None
    rows, said, former = split_by_settings(
        config, schema, columns, kept, classes, len(table), given, asked.held
    )
    if problem == "classification":
        targets.check_classes(target, labels, rows)
    weight = None if config.weight is None else columns[config.weight]
    if config.weight is not None and weight is not None:
        targets.check_weights(config.weight, weight)
    settings = PreparationSettings(labels=config.labels, separator=config.separator)
    preparation = Preparation((), (), fit_class_labels(target, labels[rows["train"]], settings))
    notes = said + targets.class_notes(problem, labels, config.separator)
    notes += map(str, find_duplicates([x], rows, prints))
    return ImageData(x, schema, preparation, labels, weight, rows, table.source, tuple(notes), former)


def new_images(
    path: Any,
    config: DataConfig,
    schema: Schema,
    preparation: Preparation,
    shape: tuple[int, ...],
    *,
    labelled: bool = False,
) -> NewRows:
    """New images, brought to the size of the training's.

    Args:
        path: A folder, a file, or a table of paths; with labels, as that of the training.
        config: How the training's were read.
        schema: Of the training's table.
        preparation: Of the training's labels.
        shape: Height, width and channels of the training's.
        labelled: Whether they have labels.

    Raises:
        UserError: if there are none, or they cannot be read.
    """
    own = replace(config, image_size=[shape[0], shape[1]], channels=shape[2])
    try:
        images = read_images(path, replace(_options(own), labelled=labelled))
    except UserError as error:
        key = "evaluate.path" if labelled else "predict.path"
        raise UserError(str(error).replace("data.path", key)) from error
    if labelled:
        kept, labels, weight = fitted.labels_of(images.table, config, schema, preparation)
        arrays = Arrays(selected(images.x, kept), labels, weight)
        return NewRows(arrays, images.table.source, notes=images.table.notes)
    told = {name: [str(v) for v in column] for name, column in images.table.columns.items()}
    names = {name: values for name, values in told.items() if name in ("path", config.path_column)}
    arrays = Arrays(images.x, fitted.placeholder_labels(preparation, len(images.x)))
    return NewRows(arrays, images.table.source, names or told, images.table.notes)
