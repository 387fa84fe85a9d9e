"""What to say of a resumed run that has nothing left to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.core import files
from trainkit.experiment.job import Job
from trainkit.trainer.trainer import Trainer

__all__ = ["finished", "trains_no_more"]


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


def trains_no_more(job: Job, trainer: Trainer) -> str:
    """A note on a resumed run that has all its epochs, though it did not come to its end; else empty."""
    epochs, asked = trainer.state.epoch, job.config.trainer.epochs
    if not job.found or epochs < asked:
        return ""
    return f"Note: the run is at epoch {epochs}; trainer.epochs={asked} trains no more."
