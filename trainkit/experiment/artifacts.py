"""What a training leaves in its run directory besides what its callbacks write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import keras

from trainkit.backend import devices
from trainkit.core import files
from trainkit.core.unwritten import Unwritten
from trainkit.experiment.job import Job
from trainkit.experiment.pictures import draw_augmented
from trainkit.runs import manifest, run_dir
from trainkit.runs.lock import locked
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer import Trainer

__all__ = ["model_summary", "opened_run_dir"]


@contextmanager
def opened_run_dir(job: Job, trainer: Trainer, setup: TrainSetup, unwritten: Unwritten) -> Iterator[RunDir]:
    """Make the run directory, or take the resumed one, and write what is known before the training.

    It is locked in the block: no other process writes it. A worker that is not the chief does the same as the
    chief, since saving and testing need all workers; but its files are dropped, and it is silent.

    Args:
        job: What is trained.
        trainer: Trains it.
        setup: The task made ready.
        unwritten: Notes the picture of the augmented images, if it cannot be written.

    Raises:
        UserError: if it cannot be written, or another process writes it.
    """
    if not setup.is_chief:
        with (
            tempfile.TemporaryDirectory(prefix="trainkit-worker-") as folder,
            open(os.devnull, "w") as silence,
            redirect_stdout(silence),
        ):
            yield RunDir(Path(folder))
        return
    about = manifest.describe(job.argv, job.config.trainer.seed, setup.splits.source, devices.describe())
    about |= {"task": job.config.name, "config_dir": job.config_dir}
    if job.before_run is not None:
        job.before_run()
    if job.found is not None and job.found.run is not None:
        run = job.found.run
    elif job.path is not None:
        run = run_dir.create(job.path, job.config.runs_dir, job.config.name)
    else:
        raise ValueError("A job that trains anew needs a path for its run.")
    with locked(run.path):
        files.sweep(run.path)
        with suppress(OSError):
            run.error.unlink()  # of an attempt before this one
        _write_beginning(job, trainer, setup, run, about)
        if setup.source.augmented is not None and job.config.callbacks.plots:
            with unwritten.left_out():
                draw_augmented(setup.source.augmented, setup.source.rows, run.plots)
        yield run


def _write_beginning(
    job: Job, trainer: Trainer, setup: TrainSetup, run: RunDir, about: Mapping[str, Any]
) -> None:
    """Write the settings, the manifest and the model's layers."""
    for name, text in {**job.files, **job.task.run_files()}.items():
        files.write_text(run.path / name, text)
    if job.found is not None and job.found.run is not None:
        before = files.read_or_set_aside(run.manifest) or about
        again = {"time": files.now(), "from": job.found.checkpoint.name, **trainer.state.position(), **about}
        about = {**before, "resumed": [*before.get("resumed", []), again]}
    else:
        about = {"created": files.now(), **about}
    files.write_json(run.manifest, about)
    files.write_text(run.model_summary, model_summary(setup.model))


def model_summary(model: keras.Model) -> str:
    """The model's layers as a text of several lines."""
    lines: list[str] = []

    def add(line: str, line_break: bool = True) -> None:
        lines.append(line)

    model.summary(print_fn=add)
    return "\n".join(lines).rstrip("\n") + "\n"
