"""Writes `metrics.csv` while a model trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.core.logs import column
from trainkit.runs.metrics_csv import MetricsTable, columns

__all__ = ["MetricsCSV"]


class MetricsCSV(Observer):
    """Writes one row per epoch: `epoch, step, train/<metric>, val/<metric>, learning_rate, seconds`.

    An epoch without validation leaves its cells empty; a float16 training adds `loss_scale, skipped_steps`,
    and one that leaves out steps that are not finite adds `skipped_steps`.
    A resumed training keeps the rows up to the epoch that it continues from.

    Args:
        path: File to write.

    Raises:
        UserError: when the training begins, if the file cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self._table: MetricsTable | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        extra = ["loss_scale"] if self.run.precision == "mixed_float16" else []
        if extra or self.run.settings.get("on_nonfinite") in ("skip", "restore"):
            extra.append("skipped_steps")
        names = columns(self.run.logged, extra)
        self._table = MetricsTable(self.path, names, keep_until=self.run.initial_epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._table is None:
            raise RuntimeError("MetricsCSV.on_epoch_end came before on_train_begin.")
        record = self.record
        values = {column(name): value for name, value in (logs or {}).items()}
        rates = {
            "learning_rate": record.learning_rate,
            "seconds": record.seconds,
            "loss_scale": record.loss_scale,
            "skipped_steps": record.skipped_steps,
        }
        self._table.append({"epoch": epoch + 1, "step": record.step, **values, **rates})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None
