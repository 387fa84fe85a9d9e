"""The results of a run: `summary.json`, and the last lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.progress import format_values
from trainkit.core.files import read_json
from trainkit.core.logs import split_logs
from trainkit.experiment.job import Job
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer import Trainer

__all__ = ["best_epoch", "closing_lines", "summarise"]


def summarise(
    job: Job,
    trainer: Trainer,
    setup: TrainSetup,
    run: RunDir,
    history: Mapping[str, Sequence[float]],
    best: Monitor,
) -> dict[str, Any]:
    """The content of `summary.json`, without the test results.

    Where this process completed no epoch, the values of the last one are those that the run had before.
    """
    before = read_json(run.summary)
    train, validation = split_logs({name: values[-1] for name, values in history.items() if values})
    return {
        "task": job.config.name,
        "dataset": setup.splits.source.name,
        "status": "completed" if trainer.stopped is None else "preempted",
        "epochs": trainer.state.epoch,
        "steps": trainer.state.step,
        "monitor": best.monitor,
        "best": best_epoch(best),
        "train": train or before.get("train", {}),
        "val": validation or before.get("val", {}),
        "test": {},
        "execution": trainer.execution,
        "execution_reason": trainer.execution_reason,
        "precision": job.config.trainer.precision,
        "strategy": setup.strategy_name,
        "replicas": setup.replicas,
        "throughput": trainer.throughput,
        "bottleneck": trainer.bottleneck,
        "seconds": trainer.seconds,
    }


def best_epoch(best: Monitor) -> dict[str, Any]:
    """The best monitored value and its epoch; empty as long as no epoch is complete."""
    return {"value": float(best.best), "epoch": best.best_epoch} if best.best_epoch else {}


def closing_lines(
    summary: Mapping[str, Any], run: str, action: str, command: str, last_weights: str = "last weights"
) -> str:
    """The last lines of a run: where it is, its best value, its test results, and the command to go on with.

    Args:
        summary: `monitor`, `best` and `test`, as `summarise` makes them.
        run: The run directory.
        action: What the command does: `Evaluate` or `Resume`.
        command: To be copied.
        last_weights: Which weights gave the result `test`.
    """
    best = summary["best"]
    value = "no epoch is complete"
    if best:
        value = f"{summary['monitor']} {best['value']:.6g} in epoch {best['epoch']}"
    lines = {"Run": run, "Best": value}
    if summary["test"]:
        lines["Test last"] = f"{format_values(summary['test'])}  ({last_weights})"
    if best.get("test"):
        lines["Test best"] = f"{format_values(best['test'])}  (best weights, epoch {best['epoch']})"
    lines[action] = command
    return "\n".join(f"{label + ':':<11}{text}" for label, text in lines.items())
