"""A resumed run that has nothing left to train: what to say of it, and the report that it may lack."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job
from trainkit.reporting import write_report
from trainkit.runs.lock import locked
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer import Trainer

__all__ = ["finish_report", "finished", "trains_no_more"]


def finished(job: Job, trainer: Trainer, memory: Mapping[str, Any]) -> str | None:
    """What to say of a resumed run that has all its epochs, or stopped early; None if there is more to do."""
    run = job.found.run if job.found else None
    if run is None or files.read_or_set_aside(run.status).get("status") != "completed":
        return None
    epochs = trainer.state.epoch
    early = job.config.callbacks.early_stopping
    waited = memory.get(EarlyStopping.state_name, {}).get("wait", 0)
    if epochs >= job.config.trainer.epochs:
        text = f"is complete with {epochs} epochs; to train on, set trainer.epochs to more."
    elif early.enabled and waited >= early.patience:
        setting = "callbacks.early_stopping.patience"
        text = f"stopped early after {epochs} epochs; to train on, set {setting} to more than {waited}."
    else:
        return None
    command = job.command(mode="evaluate", resume=run.shown)
    return f"Run {run.shown} {text}\nEvaluate:  {command}"


def finish_report(job: Job, setup: TrainSetup) -> None:
    """Write the report of a complete run, if the run was killed before it had written its own."""
    run = job.found.run if job.found else None
    if run is None or not (setup.is_chief and job.config.callbacks.report):
        return
    written = run.report.stat().st_mtime_ns if run.report.is_file() else 0
    if written < run.status.stat().st_mtime_ns:
        with suppress(UserError), locked(run.path):  # a run may lie where nothing can be written
            write_report(run.path)


def trains_no_more(job: Job, trainer: Trainer) -> str:
    """A note on a resumed run that has all its epochs, though it did not come to its end; else empty."""
    epochs, asked = trainer.state.epoch, job.config.trainer.epochs
    if not job.found or epochs < asked:
        return ""
    return f"Note: the run is at epoch {epochs}; trainer.epochs={asked} trains no more."
