"""What the command does in each mode, one file each: `run(job)` does it and returns the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainkit.cli.commands import evaluate, export, fit, parity, predict, tune, verify_resume
from trainkit.experiment.job import Job

__all__ = ["COMMANDS", "run"]

COMMANDS: Mapping[str, Callable[[Job], int]] = {
    "fit": fit.run,
    "evaluate": evaluate.run,
    "predict": predict.run,
    "parity": parity.run,
    "export": export.run,
    "tune": tune.run,
    "verify_resume": verify_resume.run,
}


def run(job: Job) -> int:
    """Do what `job.config.mode` says, and return the exit code.

    Raises:
        UserError: for what is wrong before anything was started.
    """
    for key, (before, now) in job.changed.items():
        print(f"Note: {key} is {now} now; the run began with {before}.")
    from trainkit.backend.generators import kept_generators

    with kept_generators():  # all of the command draws from those that its training has seeded
        return COMMANDS[job.config.mode](job)
