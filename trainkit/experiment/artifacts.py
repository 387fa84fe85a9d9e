"""What a training leaves in its run directory besides what its callbacks write."""

from __future__ import annotations

import keras

from trainkit.backend import devices
from trainkit.core import files
from trainkit.experiment.job import Job
from trainkit.experiment.pictures import draw_augmented
from trainkit.runs import manifest, run_dir
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer import Trainer

__all__ = ["model_summary", "open_run_dir"]


def open_run_dir(job: Job, trainer: Trainer, setup: TrainSetup) -> RunDir:
    """Make the run directory, or take the resumed one, and write what is known before the training.

    Raises:
        UserError: if it cannot be written.
    """
    about = manifest.describe(job.argv, job.config.trainer.seed, setup.splits.source, devices.describe())
    about["config_dir"] = job.config_dir
    if job.found is not None and job.found.run is not None:
        run = job.found.run
        before = files.read_json(run.manifest)
        again = {"time": files.now(), "from": job.found.checkpoint.name, **trainer.state.position(), **about}
        about = {**before, "resumed": [*before.get("resumed", []), again]}
    elif job.path is not None:
        run = run_dir.create(job.path, job.config.runs_dir, job.config.name)
        about = {"created": files.now(), **about}
    else:
        raise ValueError("A job that trains anew needs a path for its run.")
    for name, text in {**job.files, **job.task.run_files()}.items():
        files.write_text(run.path / name, text)
    files.write_json(run.manifest, about)
    files.write_text(run.model_summary, model_summary(setup.model))
    if setup.source.augmented is not None and job.config.callbacks.plots:
        draw_augmented(setup.source.augmented, setup.source.rows, run.plots)
    run.write_status("running", trainer.state.epoch, trainer.state.step)
    return run


def model_summary(model: keras.Model) -> str:
    """The model's layers as a text of several lines."""
    lines: list[str] = []

    def add(line: str, line_break: bool = True) -> None:
        lines.append(line)

    model.summary(print_fn=add)
    return "\n".join(lines).rstrip("\n") + "\n"
