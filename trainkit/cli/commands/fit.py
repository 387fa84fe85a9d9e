"""mode=fit: train, test, and leave a run directory."""

from __future__ import annotations

import sys
from functools import partial

from trainkit.cli.commands import find_lr
from trainkit.experiment.job import Job

__all__ = ["run"]


def run(job: Job) -> int:
    """Train, evaluate on the test rows, and leave a run directory; or look for a learning rate."""
    if job.config.find_lr.enabled:
        return find_lr.run(job)
    from trainkit.experiment import runner

    return runner.fit(job, write=partial(print, flush=True), write_error=partial(print, file=sys.stderr))
