"""Why a training failed, in one line, and how to go on."""

from __future__ import annotations

import tensorflow as tf

from trainkit.backend import compile_cache
from trainkit.callbacks.monitor import Monitor
from trainkit.core.errors import NotFinite, UserError, one_line
from trainkit.core.words import shown
from trainkit.experiment.job import Job
from trainkit.runs.run_dir import RunDir

__all__ = ["LOST_WORKER", "reason", "remedy"]

# What a reduction over several workers raises when one of them is gone.
LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)


def reason(error: Exception, *, lost: bool) -> str:
    """An error in one line.

    Args:
        error: What ended the training.
        lost: Whether another worker is gone.
    """
    if lost:
        return f"another worker ended or no longer answers ({type(error).__name__})"
    if unkept := compile_cache.unkept(error):
        return unkept
    first_line = one_line(str(error).strip().partition("\n")[0])
    if isinstance(error, UserError):
        return first_line
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def remedy(error: Exception, job: Job, run: RunDir, best: Monitor, *, chief: bool, lost: bool) -> str:
    """How to go on after an error, with a blank before it; nothing, if there is nothing to go on from.

    Args:
        error: What ended the training.
        job: What was trained.
        run: Its directory.
        best: Follows the monitored value.
        chief: Whether this process is the chief.
        lost: Whether another worker is gone.
    """
    if isinstance(error, NotFinite):
        if run.best.is_dir() and best.rule.needs_validation:  # these weights have served
            go_on = job.command(resume=shown(run.best))
            return f" With one of these, start anew, or go on from the best epoch: {go_on}"
        return " With one of these, start anew."
    # A worker with an error of its own leaves this to the chief, which loses it.
    if not (run.last.is_dir() if chief else lost):
        return ""
    place = run.shown if chief else job.config.run_dir or "last"
    return f" Resume: {job.command(resume=place)}"
