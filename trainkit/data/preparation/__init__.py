"""Columns prepared for a model, fitted on the training rows only; and the same built of Keras layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.data.preparation.keras_twin import keras_preprocessing, with_preprocessing
    from trainkit.data.preparation.labels import ClassLabels, NumberTarget
    from trainkit.data.preparation.preparation import Preparation, PreparedInput, fit_preparation
    from trainkit.data.preparation.settings import ColumnSettings, PreparationSettings, separate_settings
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.data.preparation.keras_twin": ("keras_preprocessing", "with_preprocessing"),
            "trainkit.data.preparation.labels": ("ClassLabels", "NumberTarget"),
            "trainkit.data.preparation.preparation": ("Preparation", "PreparedInput", "fit_preparation"),
            "trainkit.data.preparation.settings": (
                "ColumnSettings",
                "PreparationSettings",
                "separate_settings",
            ),
        },
    )

__all__ = [
    "ClassLabels",
    "ColumnSettings",
    "NumberTarget",
    "Preparation",
    "PreparationSettings",
    "PreparedInput",
    "fit_preparation",
    "keras_preprocessing",
    "separate_settings",
    "with_preprocessing",
]
