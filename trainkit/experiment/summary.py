"""mode=fit: a training with everything around it, from the run directory to the last lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainkit.callbacks.monitor import Monitor
from trainkit.experiment.job import Job
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import Built
from trainkit.trainer.trainer import Trainer

# After it.


def _summary(
    job: Job,
    trainer: Trainer,
    built: Built,
    place: RunDir,
    history: Mapping[str, Sequence[float]],
    best: Monitor,
) -> dict[str, Any]:
    """The content of `summary.json` but for the test results."""
    before = place.read_json("summary.json")
    last = {name: values[-1] for name, values in history.items() if values}
    train = {name: value for name, value in last.items() if not name.startswith("val_")}
    val = {name.removeprefix("val_"): value for name, value in last.items() if name.startswith("val_")}
    return {
        "task": job.config.name,
        "dataset": built.splits.source.name,
        "status": "completed" if trainer.stopped is None else "preempted",
        "epochs": trainer.state.epoch,
        "steps": trainer.state.step,
        "monitor": best.monitor,
        "best": {"value": float(best.best), "epoch": best.best_epoch} if best.best_epoch else {},
        "train": train or before.get("train", {}),
        "val": val or before.get("val", {}),
        "test": {},
        "execution": trainer.execution,
        "execution_reason": trainer.execution_reason,
        "precision": job.config.trainer.precision,
        "strategy": built.strategy_name,
        "replicas": built.strategy.num_replicas_in_sync,
        "throughput": trainer.throughput,
        "bound": trainer.bound,
        "seconds": trainer.seconds,
    }
