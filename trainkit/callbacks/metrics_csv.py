"""Observers that keep the curves of a run: `metrics.csv`, and pictures of it."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import IO, Any

from trainkit.callbacks.observer import Observer
from trainkit.core.logs import column
from trainkit.runs.metrics_csv import read_rows

RECORD = (
    "learning_rate",
    "seconds",
    "loss_scale",
    "skipped_steps",
)  # columns that come from params["record"], where it has them


class MetricsCSV(Observer):
    """One row an epoch: `epoch, step, train/<...>, val/<...>, learning_rate, seconds`; an epoch without validation leaves its cells empty.

    A resumed run keeps the rows up to the epoch that it continues from; what a crash left behind after them, torn lines included,
    is dropped. Each row is handed to the system at once (about 2 microseconds), so that a checkpoint is never ahead of the rows.

    Args:
        path: File to write.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self._file: IO[str] | None = None
        self._columns: list[str] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        names = self.params["logged"]
        scale = ["loss_scale", "skipped_steps"] if self.params["precision"] == "mixed_float16" else []
        self._columns = ["epoch", "step", *map(column, names), "learning_rate", "seconds", *scale]
        kept = (
            [row for row in read_rows(self.path) if int(row["epoch"]) <= self.params["initial_epoch"]]
            if self.path.exists()
            else []
        )
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        beside = self.path.with_name(f".{self.path.name}")
        beside.write_text(text.getvalue())
        os.replace(beside, self.path)
        self._file = self.path.open("a", buffering=1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        record = self.params["record"]
        row = {
            "epoch": epoch + 1,
            "step": record["step"],
            **{column(k): v for k, v in (logs or {}).items()},
            **{k: record[k] for k in RECORD if k in record},
        }
        if self._file is None:
            raise RuntimeError("MetricsCSV.on_epoch_end came before on_train_begin.")
        self._file.write(
            ",".join("" if name not in row else repr(row[name]) for name in self._columns) + "\n"
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
