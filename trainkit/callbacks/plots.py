"""Draws the curves of a training when it ends."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.core.logs import is_validation, validation_name
from trainkit.core.unwritten import Unwritten
from trainkit.runs.figures import draw
from trainkit.runs.metrics_csv import curves, read_rows
from trainkit.runs.picture_names import file_names

__all__ = ["Plots"]


class Plots(Observer):
    """Draws each metric when the training ends: `<folder>/<metric>.png`, with training and validation.

    Args:
        folder: Where the pictures go.
        metrics: The `metrics.csv` to draw, which also has the epochs before a resumption.

    Attributes:
        unwritten: Pictures that could not be written, which a warning says.
    """

    def __init__(self, folder: Path | str, metrics: Path | str) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.metrics = Path(metrics)
        self.unwritten = Unwritten()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        found = curves(read_rows(self.metrics))
        if not found and logs:  # without logs, the training ended before its first epoch
            warnings.warn(f"Plots: {self.metrics} has no epoch yet; nothing is drawn.", stacklevel=2)
        title = f"{self.run.task} on {self.run.dataset.name}"
        names = file_names(name for name in found if not is_validation(name))
        for name, file_name in names.items():
            pair = {"training": found[name], "validation": found.get(validation_name(name), ([], []))}
            with self.unwritten.left_out():
                draw(self.folder / f"{file_name}.png", name, pair, title)
