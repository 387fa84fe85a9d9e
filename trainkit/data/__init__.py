"""Where rows come from, what they mean, how they are split and prepared, and in which order they train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.data.inference import infer_schema
    from trainkit.data.preparation.keras_twin import keras_preprocessing, with_preprocessing
    from trainkit.data.preparation.labels import ClassLabels, NumberTarget
    from trainkit.data.preparation.preparation import Preparation, PreparedInput, fit_preparation
    from trainkit.data.preparation.settings import ColumnSettings, PreparationSettings, separate_settings
    from trainkit.data.schema import ColumnSchema, Schema
    from trainkit.data.sources.images import ImageOptions, Images, read_images
    from trainkit.data.sources.keras_datasets import KNOWN_SETS, DataSet, DataWarning, load
    from trainkit.data.sources.sequences import word_numbers
    from trainkit.data.sources.tables import Table, TableOptions, read_table
    from trainkit.data.sources.texts import read_texts
    from trainkit.data.splits import (
        Duplicates,
        SplitSettings,
        find_duplicates,
        holdout,
        k_folds,
        read_rows,
        shuffled,
        split_rows,
        write_rows,
    )
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.data.inference": ("infer_schema",),
            "trainkit.data.preparation.keras_twin": (
                "keras_preprocessing",
                "with_preprocessing",
            ),
            "trainkit.data.preparation.labels": (
                "ClassLabels",
                "NumberTarget",
            ),
            "trainkit.data.preparation.preparation": (
                "Preparation",
                "PreparedInput",
                "fit_preparation",
            ),
            "trainkit.data.preparation.settings": (
                "ColumnSettings",
                "PreparationSettings",
                "separate_settings",
            ),
            "trainkit.data.schema": (
                "ColumnSchema",
                "Schema",
            ),
            "trainkit.data.sources.images": (
                "ImageOptions",
                "Images",
                "read_images",
            ),
            "trainkit.data.sources.keras_datasets": (
                "KNOWN_SETS",
                "DataSet",
                "DataWarning",
                "load",
            ),
            "trainkit.data.sources.sequences": ("word_numbers",),
            "trainkit.data.sources.tables": (
                "Table",
                "TableOptions",
                "read_table",
            ),
            "trainkit.data.sources.texts": ("read_texts",),
            "trainkit.data.splits": (
                "Duplicates",
                "SplitSettings",
                "find_duplicates",
                "holdout",
                "k_folds",
                "read_rows",
                "shuffled",
                "split_rows",
                "write_rows",
            ),
        },
    )

__all__ = [
    "KNOWN_SETS",
    "ClassLabels",
    "ColumnSchema",
    "ColumnSettings",
    "DataSet",
    "DataWarning",
    "Duplicates",
    "ImageOptions",
    "Images",
    "NumberTarget",
    "Preparation",
    "PreparationSettings",
    "PreparedInput",
    "Schema",
    "SplitSettings",
    "Table",
    "TableOptions",
    "find_duplicates",
    "fit_preparation",
    "holdout",
    "infer_schema",
    "k_folds",
    "keras_preprocessing",
    "load",
    "read_images",
    "read_rows",
    "read_table",
    "read_texts",
    "separate_settings",
    "shuffled",
    "split_rows",
    "with_preprocessing",
    "word_numbers",
    "write_rows",
]
