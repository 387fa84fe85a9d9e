"""Shows what is about to be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trainkit.backend import compile_cache
from trainkit.callbacks.observer import Observer

__all__ = ["Opening"]


class Opening(Observer):
    """Writes the model, its data, the devices and the mode of execution before the first epoch.

    Args:
        summary: The model's own summary, a text of several lines.
        rows: Rows of each split by its name.
        write: Takes the text, e.g. `print`.
    """

    def __init__(self, summary: str, rows: Mapping[str, int], write: Callable[[str], None]) -> None:
        super().__init__()
        self.summary = summary
        self.rows = dict(rows)
        self.write = write

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        run = self.run
        rows = ", ".join(f"{count:,} {name}" for name, count in self.rows.items())
        replicas = f", {run.replicas} replicas" if run.replicas > 1 else ""
        lines = {
            "Task": run.task,
            "Data": f"{run.dataset.name}: {rows}; {run.feed}",
            "Batch": f"{run.batch_size:,} rows, {run.steps_per_epoch:,} steps per epoch",
            "Devices": f"{run.devices}, {run.strategy}{replicas}, {run.precision}",
            "Execution": f"{run.execution}: {run.execution_reason}",
        }
        kept = compile_cache.kept_in()
        if run.execution.endswith("_xla") and kept is not None:
            lines["Compiled"] = f"kept for the next run in {kept} (compile_cache=false: not)"
        text = "\n".join(f"{label + ':':<11}{value}" for label, value in lines.items())
        self.write(self.summary.rstrip("\n") + "\n" + text)
