"""The content of `summary.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainkit.callbacks.monitor import Monitor
from trainkit.core.figures import left_out
from trainkit.core.files import read_or_set_aside
from trainkit.core.logs import split_logs
from trainkit.runs.metrics_csv import logged_values, read_rows
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import TrainSetup

__all__ = ["FitReport", "best_epoch", "ended_finite", "not_finite", "summarise"]


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """How a fit went.

    Args:
        stopped: Why it was stopped; None: it came to its end.
        finite: Whether its last loss and all weights are finite, and its last epoch trained any step.
        execution: Mode of execution.
        execution_reason: Why it was chosen.
        throughput: Rows and steps per second.
        bottleneck: What bounds the speed.
        seconds: Seconds of its parts.
    """

    stopped: str | None = None
    finite: bool = True
    execution: str = ""
    execution_reason: str = ""
    throughput: Mapping[str, float] = field(default_factory=dict)
    bottleneck: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """`completed`, `preempted`, or `failed` where the model is not finite."""
        if self.stopped is not None:
            return "preempted"
        return "completed" if self.finite else "failed"


def ended_finite(setup: TrainSetup, history: Mapping[str, Sequence[float]]) -> bool:
    """Whether a training has ended with a model that is finite, and has trained in its last epoch."""
    # A loss scale leaves steps out by itself; then only the weights tell.
    last = () if setup.config.precision == "mixed_float16" else history.get("loss", ())[-1:]
    return not setup.state.idle and setup.state.is_finite() and all(map(math.isfinite, last))


def not_finite(setup: TrainSetup) -> str:
    """Why a training that did not end finite has failed."""
    skipped = left_out(setup.state.skipped, setup.state.step)
    if setup.state.idle:
        return f"no step of the last epoch was trained, since none was finite; {skipped}"
    why = "the training ended with a loss or weights that are not finite"
    return f"{why}; {skipped}" if skipped else why


def summarise(
    name: str,
    setup: TrainSetup,
    run: RunDir,
    history: Mapping[str, Sequence[float]],
    best: Monitor,
    report: FitReport,
) -> dict[str, Any]:
    """The content of `summary.json`, without the test results.

    Where this process completed no epoch, the values of the last one are those that the run had before: by
    its `metrics.csv`, or by the summary itself.

    Args:
        name: Name of the task.
        setup: The task made ready.
        run: The run directory.
        history: Values per epoch, by Keras's names.
        best: What followed the monitored value.
        report: How the fit went.
    """
    former = read_or_set_aside(run.summary)
    # Callbacks may add values of their own, which a resumed training that has no epoch left does not know.
    last = {name: history[name][-1] for name in setup.logged() if history.get(name)}
    if not last:
        rows = [row for row in read_rows(run.metrics) if int(row["epoch"]) == setup.state.epoch]
        last = logged_values(rows[-1]) if rows else {}
    train, validation = split_logs(last)
    if not last and former.get("epochs") == setup.state.epoch:
        train, validation = former.get("train", {}), former.get("val", {})
    return {
        "task": name,
        "dataset": setup.splits.source.name,
        "status": report.status,
        "epochs": setup.state.epoch,
        "steps": setup.state.step,
        "skipped_steps": setup.state.skipped,
        "monitor": best.monitor,
        "direction": best.rule.mode,
        "best": best_epoch(best),
        "train": train,
        "val": validation,
        "test": {},
        "execution": report.execution,
        "execution_reason": report.execution_reason,
        "precision": setup.config.precision,
        "strategy": setup.strategy_name,
        "replicas": setup.replicas,
        "throughput": dict(report.throughput),
        "bottleneck": dict(report.bottleneck),
        "seconds": dict(report.seconds),
    }


def best_epoch(best: Monitor) -> dict[str, Any]:
    """The best monitored value and its epoch; empty as long as no epoch is complete."""
    return {"value": float(best.best), "epoch": best.best_epoch} if best.best_epoch else {}
