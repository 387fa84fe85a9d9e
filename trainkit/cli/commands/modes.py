"""What the command does, mode by mode, from a plain typed config. TensorFlow is imported when a mode starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.backend import startup
from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job
from trainkit.runs.locate import Found

if TYPE_CHECKING:
    from trainkit.trainer.trainer import Trainer


SPLITS = ("train", "validation", "test")


def fit(job: Job) -> int:
    """Train, evaluate on the test rows, and leave a run directory."""
    from trainkit.experiment import runner

    return runner.fit(job, write=partial(print, flush=True), write_error=partial(print, file=sys.stderr))


def evaluate(job: Job) -> int:
    """Loss and metrics of a checkpoint over all rows of every split, as a table and in `evaluate.json`."""
    found, trainer = _open(job)
    sizes = {
        name: len(getattr(trainer.splits, name))
        for name in SPLITS
        if isinstance(getattr(trainer.splits, name), Arrays)
    }
    if not sizes:
        raise UserError(f"Task {job.task.name} gives no split as arrays; there is nothing to evaluate.")
    results = {name: trainer.evaluate(split=name) for name in sizes}
    names = list(next(iter(results.values())))
    widths = [max(12, len(name) + 2) for name in names]
    print(
        f"{'':<12}{'rows':>9}"
        + "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    )
    for part, size in sizes.items():
        print(
            f"{part:<12}{size:>9,}"
            + "".join(f"{results[part][name]:>{width}.5g}" for name, width in zip(names, widths, strict=True))
        )
    content = {
        "checkpoint": found.checkpoint.name,
        **trainer.state.position(),
        "dataset": trainer.splits.source.name,
        "results": results,
    }
    _written(trainer, found, files.write_json(_beside(found) / "evaluate.json", content))
    return 0


def predict(job: Job) -> int:
    """Predictions for all rows of a split: some on the terminal, all of them in `predictions.csv`."""
    from trainkit.experiment.predictions import Predictions

    found, trainer = _open(job)
    arrays = trainer._built().arrays(job.config.predict.split)
    predictions = Predictions(job.task, trainer.predict(split=job.config.predict.split), arrays.y)
    for line in predictions.lines(job.config.predict.show):
        print(line)
    _written(trainer, found, files.write_text(_beside(found) / "predictions.csv", predictions.csv()))
    return 0


def parity(job: Job) -> int:
    """The task through our loop and through `model.fit`: 0 if they agree within the tolerance, else 1."""
    from trainkit.cli.commands import parity

    return parity.parity_mode(job)


# A mode that is missing here is not available yet.
MODES: dict[str, Callable[[Job], int]] = {
    "fit": fit,
    "evaluate": evaluate,
    "predict": predict,
    "parity": parity,
}


NEED_A_CHECKPOINT = ("evaluate", "predict")


def start() -> None:
    """Import TensorFlow: the last thing before anything needs it."""
    startup.import_tensorflow()


def reserve_devices(jobs: Sequence[Job]) -> None:
    """Make the logical CPU devices of all jobs, whose number TensorFlow fixes at the first use."""
    from trainkit.backend import devices

    devices.logical_cpus(max(job.config.trainer.replicas or 1 for job in jobs))


def run(job: Job) -> int:
    """Do what `config.mode` says, and return the exit code.

    Raises:
        UserError: for what is wrong before anything was started.
    """
    for key, (before, now) in job.changed.items():
        print(f"Note: {key} is {now} now; the run began with {before}.")
    return MODES[job.config.mode](job)


def _open(job: Job) -> tuple[Found, Trainer]:
    """A trainer with the weights of the checkpoint that the job names."""
    from trainkit.trainer.trainer import Trainer

    found = job.found
    if found is None:
        raise UserError(f"mode={job.config.mode} needs a checkpoint; name one with resume=<run directory>.")
    trainer = Trainer(job.config.trainer, optimizer=job.config.optimizer)
    trainer.prepare(job.task, data=job.data())
    trainer.restore(found.checkpoint)
    trainer.state.finish()
    known = files.read_json(found.run.manifest).get("dataset", {}) if found.run else {}
    source = trainer.splits.source
    if known and known.get("sha256") != source.sha256:
        trained = f"{known.get('name')} ({known.get('origin')})"
        print(
            f"Warning: this run was trained on {trained}, not on {source.name} ({source.origin}); set data.dir to where those rows are."
        )
    return found, trainer


def _beside(found: Found) -> Path:
    """Where results of a checkpoint go: its run directory, else beside it."""
    return found.run.path if found.run else found.checkpoint.parent


def _written(trainer: Trainer, found: Found, path: Path) -> None:
    print(
        f"Checkpoint:  {files.shown(found.checkpoint)} (epoch {trainer.state.epoch}, {trainer.splits.source.name})"
    )
    print(f"Written:     {files.shown(path)}")
