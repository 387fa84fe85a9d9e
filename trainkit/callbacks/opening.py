"""Small observers of a run: its opening lines on the terminal, its `status.json`, and a learning rate that was changed on resuming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainkit.callbacks.observer import Observer


class Opening(Observer):
    """Prints the model and what it is trained on, with which devices and in which way, before the first epoch.

    Args:
        summary: The model's own summary, a text of several lines.
        splits: Rows of each split.
        write: Takes one text; default: print.
    """

    def __init__(self, summary: str, splits: dict[str, int], write: Callable[[str], None] = print) -> None:
        super().__init__()
        self.summary, self.splits, self.write = summary, splits, write

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        p = self.params
        replicas = f", {p['replicas']} replicas" if p["replicas"] > 1 else ""
        lines = {
            "Task": p["task"],
            "Data": f"{p['dataset'].name}: {', '.join(f'{rows:,} {name}' for name, rows in self.splits.items())}; {p['feed']}",
            "Batch": f"{p['batch_size']:,} rows, {p['steps']:,} steps an epoch",
            "Devices": f"{p['devices']}, {p['strategy']}{replicas}, {p['precision']}",
            "Execution": f"{p['execution']}: {p['reason']}",
        }
        self.write(
            self.summary.rstrip("\n") + "\n" + "\n".join(f"{k + ':':<11}{v}" for k, v in lines.items())
        )
