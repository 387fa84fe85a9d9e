"""mode=tune: searches for good settings, alone or with other processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainkit.cli.commands.search_jobs import SearchJobs
from trainkit.core.errors import UserError, one_line
from trainkit.core.words import command
from trainkit.experiment.job import Job
from trainkit.runs import run_dir
from trainkit.runs.run_dir import BEST_TRIAL, RunDir

if TYPE_CHECKING:
    from trainkit.tuning.search import Search, SearchPlan

__all__ = ["run", "share_cores"]

# What belongs to one process of a search, and not to the search.
OF_A_PROCESS = ("jobs", "timeout", "trials", "refit", "storage", "lease")
OF_THE_SEARCH = ("task", "trainer", "optimizer", "data", "callbacks")
TRAINING = {"mode": "fit", "tune.refit": False}  # what a trial is, as a run of its own
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def run(job: Job) -> int:
    """Search until all trials are finished; leaves `trials.csv`, `best.yaml`, `report.html` and a run for
    each trial.

    Returns:
        The exit code: 0 done, 1 if no trial could be trained, 129, 130 or 143 stopped by a signal.

    Raises:
        UserError: for anything that cannot be searched, before the folder is made.
    """
    try:
        from trainkit.tuning import search
    except ImportError as error:
        raise UserError(
            f"mode=tune needs {error.name}, which is not installed: pip install 'trainkit[tune]'."
        ) from error
    from trainkit.experiment.signals import EXIT_CODES, stop_on_signals
    from trainkit.tuning import results
    from trainkit.tuning.board import Board, closing_lines

    if job.path is None or job.space is None or job.variant is None:
        raise ValueError("A search needs a path, a space and variants.")
    board = Board(job.config.progress, sys.stdout)
    if job.config.tune.refit:
        _check_refit(job)
    part = search.Search(_plan(job), board)
    board.begin(part)
    if job.before_run is not None:
        job.before_run()
    others = job.search_jobs or SearchJobs(job.argv, job.path, job.config.tune.jobs)
    others.begin()
    try:
        with stop_on_signals(part.request_stop):
            entries = part.run()
    finally:
        board.close()
        others.end(job.config.tune.lease, stopped=part.stopped is not None)
    folder = RunDir(part.plan.folder).shown
    commands = {"continue": _same_command(job, folder)}
    if (part.plan.folder / BEST_TRIAL).is_file():
        commands["train"] = command("--config-dir", folder, "experiment=best")
    results.write_report(part.study, part.objectives, commands)
    print(closing_lines(part, entries, folder, commands), flush=True)
    if part.stopped is not None:
        return EXIT_CODES.get(part.stopped, 1)
    if job.config.tune.refit:
        return _refit(job, part)
    return 0 if part.study.best() else 1


def _same_command(job: Job, folder: str) -> str:
    """The command of the search once more, with the folder that it joins."""
    words = [word for word in job.argv if not word.lstrip("+").startswith("run_dir=")]
    return command(*words, run_dir=folder)


def share_cores(jobs: int) -> None:
    """Let each of several processes on this machine use its share of the cores; before TensorFlow starts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in THREADS:
        os.environ.setdefault(name, str(max(1, cores // jobs)))


def _plan(job: Job) -> SearchPlan:
    from trainkit.tuning.candidate import Candidate
    from trainkit.tuning.search import SearchPlan

    variant = job.variant
    if variant is None or job.path is None:
        raise ValueError("A search needs variants and a path.")

    def make(settings: Mapping[str, Any]) -> Candidate:
        made = variant({**settings, **TRAINING})
        return Candidate(
            task=made.task,
            trainer=made.config.trainer,
            optimizer=made.config.optimizer,
            early_stopping=made.config.callbacks.early_stopping,
            data=made.data(),
            callbacks=made.callbacks,
            files={run_dir.CONFIG: made.files[run_dir.CONFIG]},
        )

    tune = dict(job.settings["tune"])
    identity = {
        **{name: job.settings[name] for name in OF_THE_SEARCH},
        "tune": {key: value for key, value in tune.items() if key not in OF_A_PROCESS},
        "space": job.space.as_text(),
    }
    return SearchPlan(
        folder=job.path,
        config=job.config.tune,
        space=job.space,
        make=make,
        identity=identity,
        files={run_dir.CONFIG: job.files[run_dir.CONFIG]},
        experiment=job.experiment,
        config_dir=job.config_dir,
    )


def _check_refit(job: Job) -> None:
    """Refuse a task that gives no rows where none are to validate: the search would learn of it at its end.

    Raises:
        UserError: naming the setting and the task.
    """
    from trainkit.data.folds import unsplit

    if job.variant is None:
        raise ValueError("A search needs variants.")
    made = job.variant(TRAINING)
    task, splits = unsplit(made.task, made.data())
    if splits is not None:
        return
    refused = None
    try:
        task.data()
    except Exception as error:  # whatever the task raises
        with suppress(Exception):  # what it raises with validation rows too, the search says
            made.task.data()
            refused = error
    if refused is None:
        return
    first = one_line(str(refused).strip().partition("\n")[0])
    raise UserError(
        f"tune.refit=true: task {task.name} with validation=0.0 gives no rows ({first}); let its data() "
        "return Splits(train, None, test) then, as trainkit.data.holdout does, or leave tune.refit out."
    ) from refused


def _refit(job: Job, part: Search) -> int:
    """Train the best settings on all rows but the test rows: a run of its own, like those of mode=fit."""
    from trainkit.cli.commands import fit
    from trainkit.data.folds import unsplit

    best = part.study.best()
    if not best or job.variant is None:
        print(
            "trainkit: tune.refit=true: no trial is complete, so there is nothing to train.", file=sys.stderr
        )
        return 1
    settings = {**part.study.space.decode(best[0].settings), **TRAINING}
    made = job.variant(settings)
    epochs = part.best_epochs(best[0]) or made.config.trainer.epochs
    made = job.variant({**settings, "trainer.epochs": epochs})
    task, splits = unsplit(made.task, made.data())
    config = made.config
    path = run_dir.new_path(config.runs_dir, config.name, None)
    print(
        f"\nTraining the best settings on all rows but the test rows, for {epochs} epochs.",
        flush=True,
    )
    return fit.run(replace(made, task=task, splits=splits, path=path))
