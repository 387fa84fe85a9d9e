"""The jobs of a multirun, one after the other in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from trainkit.cli.commands import run
from trainkit.cli.compose import Composed
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.experiment.job import Job
from trainkit.runs import run_dir

__all__ = ["run_all"]


def run_all(jobs: Sequence[Job], composed: Sequence[Composed]) -> int:
    """Run all jobs; a signal ends them all, a failure ends only its own.

    Returns:
        The largest exit code.

    Raises:
        UserError: if two jobs share a run directory.
    """
    _check_paths(jobs)
    _reserve_devices(jobs)
    done: list[dict[str, Any]] = []
    for number, (job, one) in enumerate(zip(jobs, composed, strict=True), 1):
        print(f"\n[{number}/{len(jobs)}] {' '.join(one.overrides)}", flush=True)
        code = _run(job)
        place = job.path or (job.found and job.found.checkpoint)
        done.append({"overrides": one.overrides, "run": str(place), "exit": code})
        if code > 2:
            break
    codes: list[int] = [one["exit"] for one in done]
    if any(code != 2 for code in codes):
        folder = run_dir.new_path(jobs[0].config.runs_dir, "multirun", None)
        path = files.write_json(folder / "jobs.json", {"jobs": done})
        good = codes.count(0)
        print(f"\n{good} of {len(jobs)} jobs done; listed in {files.shown(path)}")
    return max(codes)


def _run(job: Job) -> int:
    try:
        return run(job)
    except UserError as error:
        print(f"trainkit: {one_line(str(error))}", file=sys.stderr)
        return 2


def _check_paths(jobs: Sequence[Job]) -> None:
    paths = [job.path for job in jobs if job.path is not None]
    if len(set(paths)) < len(paths):
        raise UserError(
            f"run_dir={paths[0]} would be the folder of {len(jobs)} runs; "
            "leave it out with -m, so that each gets its own."
        )


def _reserve_devices(jobs: Sequence[Job]) -> None:
    """Make the logical CPU devices of all jobs: TensorFlow fixes their number at its first use."""
    from trainkit.backend import devices

    devices.logical_cpus(max(job.config.trainer.replicas or 1 for job in jobs))
