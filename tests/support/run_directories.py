"""Run directories as a training leaves them, without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.runs.metrics_csv import MetricsTable, columns
from trainkit.runs.run_dir import RunDir

__all__ = ["make_run"]


def make_run(
    folder: Path,
    *,
    values: tuple[float, ...] = (0.5, 0.3, 0.4),
    status: str = "completed",
    seed: int = 0,
    rate: float = 0.1,
    **more: Any,
) -> RunDir:
    """A run of `toy` whose validation loss took these values.

    Args:
        folder: Where to.
        values: Loss of each epoch; that of the validation is the same.
        status: How it ended.
        seed: `trainer.seed`.
        rate: `optimizer.learning_rate`.
        more: Further entries of `summary.json`.
    """
    run = RunDir(folder)
    folder.mkdir(parents=True)
    config = f"trainer: {{seed: {seed}, epochs: 3}}\noptimizer: {{learning_rate: {rate}}}\n"
    files.write_text(folder / "config.yaml", config)
    best = min(values)
    summary = {
        "task": "toy",
        "dataset": "toys",
        "status": status,
        "epochs": len(values),
        "monitor": "val_loss",
        "direction": "min",
        "best": {"value": best, "epoch": values.index(best) + 1, "test": {"loss": best + 0.1}},
        "train": {"loss": values[-1]},
        "val": {"loss": values[-1]},
        "test": {"loss": values[-1] + 0.1},
        "throughput": {"examples_per_second": 1000.0, "steps_per_second": 10.0},
        "seconds": {"total": 2.0, "compile": 1.0, "train": 0.5, "validate": 0.25},
        "execution": "epoch",
        "precision": "float32",
        **more,
    }
    if status in ("completed", "preempted"):
        files.write_json(run.summary, summary)
    dataset = {"name": "toys", "origin": "memory", "sha256": "0"}
    files.write_json(run.manifest, {"argv": ["task=toy"], "dataset": dataset, "versions": {"keras": "3.15"}})
    run.write_status(status, len(values), 10 * len(values), reason="the lamp went out" * (status == "failed"))
    table = MetricsTable(run.metrics, columns(["loss", "val_loss"]))
    for epoch, value in enumerate(values, 1):
        cells = {"train/loss": value, "val/loss": value, "learning_rate": rate, "seconds": 0.5}
        table.append({"epoch": epoch, "step": 10 * epoch, **cells})
    table.close()
    return run
