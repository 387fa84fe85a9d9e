"""mode=fit: train, test, and leave a run directory."""

from __future__ import annotations

import sys
from functools import partial

from trainkit.cli.commands import find_lr
from trainkit.cli.interrupts import ending_at_once
from trainkit.cli.wrapping import print_wrapped
from trainkit.distributed import cluster
from trainkit.experiment.job import Job

__all__ = ["run"]


def run(job: Job) -> int:
    """Train, evaluate on the test rows, and leave a run directory, or one for each fold and seed; or look for
    a learning rate.

    Raises:
        UserError: for what is wrong before the run directory is made.
    """
    cluster.refuse_alone(job.config.trainer.strategy)
    if job.config.find_lr.enabled:
        return find_lr.run(job)
    with ending_at_once():
        from trainkit.experiment import repeats, runner

    write_error = partial(print, file=sys.stderr)
    train = partial(runner.fit, write=print_wrapped, write_error=write_error)
    config = job.config.fit
    if config.seeds or (config.cv and not config.fold):
        return repeats.repeat(job, train, print_wrapped, write_error)
    code = train(job)
    if job.found is not None and job.found.run is not None:
        repeats.note_alone(job.found.run, code)
    return code
