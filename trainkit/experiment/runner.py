"""mode=fit: a training with everything around it, from the run directory to the last lines on the terminal."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.monitor import Monitor
from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.experiment import callback_factory
from trainkit.experiment.job import Job
from trainkit.experiment.signals import _stoppable
from trainkit.experiment.summary import _summary
from trainkit.runs import manifest, run_dir
from trainkit.runs.run_dir import RunDir
from trainkit.trainer import roofline
from trainkit.trainer.setup import Built
from trainkit.trainer.trainer import Trainer

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143}


# What a reduction over several workers raises when one of them is gone.
LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)


def fit(job: Job) -> int:
    """Train, evaluate on the test rows, and leave a run directory.

        prepare data and model, and check all that can be wrong; nothing is written before
        make the run directory, or open the one that is resumed
        train, until the end or until a signal, with the state saved
        evaluate the last and the best weights; write summary and model

    Returns:
        The exit code.

    Raises:
        UserError: for what is wrong before the run directory is made.
    """
    trainer = Trainer(job.config.trainer, optimizer=job.config.optimizer)
    built = trainer.prepare(job.task, data=job.data())
    monitor, extra = monitored(job, built), job.callbacks()
    resume = job.found.checkpoint if job.found else None
    memory = (
        trainer.restore(resume) if resume is not None else {}
    )  # if it fails, then here, and not in a run that was opened for it
    if _complete(job, trainer, memory):
        return 0
    with ExitStack() as scratch:
        if built.chief:
            place = _open(job, trainer, built)
        else:  # the same steps, as saving and testing need all workers; but the files go nowhere, and nothing is said
            place = RunDir(
                Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="trainkit-worker-")))
            )
            scratch.enter_context(redirect_stdout(scratch.enter_context(open(os.devnull, "w"))))
        return _train(job, trainer, built, place, monitor, extra)


def _train(
    job: Job,
    trainer: Trainer,
    built: Built,
    place: RunDir,
    monitor: str,
    extra: Sequence[keras.callbacks.Callback],
) -> int:
    """Train in a run directory that is there, and leave it in order whatever happens."""
    resume = job.found.checkpoint if job.found else None
    best = callback_factory.best_keeper(job, place, built, monitor)
    try:
        if built.chief:
            work = roofline.measure(built)
            built.flops, built.product_seconds = work.flops, work.seconds
        trainer.callbacks = [*callback_factory.observers(job, place, built, best, monitor), *extra]
        with _stoppable(trainer):
            history = trainer.fit(job.task, resume=resume)
            if built.chief and trainer.throughput.get("ceiling_share", 0.0) > 1:
                built.product_seconds = roofline.measure(built, again=True).seconds
            summary = _summary(job, trainer, built, place, history.history, best)
            if trainer.stopped is None:
                _conclude(job, trainer, place, best, summary)
            files.write_json(place.path / "summary.json", summary)
        if trainer.stopped is not None:
            return _stopped(job, trainer, place, best, trainer.stopped)
        place.write_status("completed", trainer.state.epoch, trainer.state.step)
    except KeyboardInterrupt:
        return _stopped(job, trainer, place, best, "SIGINT")
    except Exception as error:
        return _failed(job, built, trainer, place, error)
    _last_lines(place, best, "Evaluate", job.command(mode="evaluate", resume=place.shown))
    return 0


# Before the training.


def monitored(job: Job, built: Built) -> str:
    """The logged value that decides which epoch is best: the config's, else the task's; without validation rows, its training twin.

    Raises:
        UserError: if this training logs no such value.
    """
    asked = job.config.checkpoint.monitor
    name = asked or job.task.monitor()
    if asked is None and built.splits.validation is None:
        name = name.removeprefix("val_")
    early = job.config.callbacks.early_stopping
    for watched in (name, early.monitor if early.enabled else None):
        if watched is not None:
            built.direction(watched)
    return name


def _complete(job: Job, trainer: Trainer, memory: Mapping[str, Any]) -> bool:
    """Whether the run that is resumed has all its epochs, or had stopped early, and says so."""
    place = job.found.run if job.found else None
    if place is None or place.read_json("status.json").get("status") != "completed":
        return False
    early = job.config.callbacks.early_stopping
    waited = memory.get("EarlyStopping", {}).get("wait", 0)
    if trainer.state.epoch >= job.config.trainer.epochs:
        print(
            f"Run {place.shown} is complete with {trainer.state.epoch} epochs; to train on, set trainer.epochs to more."
        )
    elif early.enabled and waited >= early.patience:
        print(
            f"Run {place.shown} stopped early after {trainer.state.epoch} epochs; to train on, set callbacks.early_stopping.patience to more than {waited}."
        )
    else:
        return False
    print(f"Evaluate:  {job.command(mode='evaluate', resume=place.shown)}")
    return True


def _open(job: Job, trainer: Trainer, built: Built) -> RunDir:
    """Make the run directory, or take the resumed one, and write what is known before the training."""
    about = manifest.describe(job.argv, job.config.trainer.seed, built.splits.source, built.devices) | {
        "config_dir": job.config_dir
    }
    if job.found is not None and job.found.run is not None:
        place = job.found.run
        before = place.read_json("manifest.json")
        again = {"time": files.now(), "from": job.found.checkpoint.name, **trainer.state.position(), **about}
        about = {**before, "resumed": [*before.get("resumed", []), again]}
    elif job.path is not None:
        place = run_dir.create(job.path, job.config.runs_dir, job.config.name)
        about = {"created": files.now(), **about}
    else:
        raise ValueError("A job that trains anew needs a path for its run.")
    for name, text in job.files.items():
        files.write_text(place.path / name, text)
    files.write_json(place.path / "manifest.json", about)
    place.write_status("running", trainer.state.epoch, trainer.state.step)
    return place


def _conclude(job: Job, trainer: Trainer, place: RunDir, best: Monitor, summary: dict[str, Any]) -> None:
    """Test the last weights, then the best ones, and keep the best as a plain Keras model."""
    tested = isinstance(trainer.splits.test, Arrays)
    if tested:
        summary["test"] = trainer.evaluate()
        print("Test:      " + ", ".join(f"{name} {value:.4g}" for name, value in summary["test"].items()))
    checkpoint = place.checkpoints / "best"
    if not checkpoint.is_dir() and job.found is not None and job.found.run is not None:
        checkpoint = (
            job.found.run.checkpoints / "best"
        )  # of before the resumption; a worker that is not the chief has no other
    if isinstance(best, Checkpoints) and best.best_epoch and checkpoint.is_dir():
        position = trainer.state.position()
        trainer.restore(checkpoint)
        trainer.state.finish()
        trainer.state.seek(position)  # the weights are the best ones; the run still stands where it ended
        if tested:
            summary["best"]["test"] = trainer.evaluate()
    _save_model(trainer.model, place.path / "model.keras")


def _save_model(model: keras.Model, path: Path) -> None:
    """Save a model beside and rename it; without loss, metrics and optimizer, which plain Keras could not load if they are a task's own."""
    beside = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    optimizer, model.optimizer, model.compiled = model.optimizer, None, False
    try:
        model.save(beside)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Check the disk and its permissions."
        ) from error
    finally:
        model.optimizer, model.compiled = optimizer, True


def _stopped(job: Job, trainer: Trainer, place: RunDir, best: Monitor, reason: str) -> int:
    place.write_status("preempted", trainer.state.epoch, trainer.state.step, reason=reason)
    _last_lines(place, best, "Resume", job.command(resume=place.shown))
    return EXIT_CODES[reason]


def _failed(job: Job, built: Built, trainer: Trainer, place: RunDir, error: Exception) -> int:
    """Keep the traceback of an error in the run, and say in one line what happened and how to go on."""
    if os.environ.get("TRAINKIT_TRACEBACK") == "1":
        traceback.print_exc()
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    lost = built.workers > 1 and isinstance(error, LOST_WORKER)
    if lost:
        text = f"another worker ended or no longer answers ({type(error).__name__})"
    try:
        if not lost and not isinstance(error, UserError):
            trace = "".join(traceback.format_exception(error))
            text = (
                f"{type(error).__name__}: {text} (traceback in {place.shown}/error.txt)"
                if built.chief
                else f"{type(error).__name__}: {text}"
            )
            files.write_text(place.path / "error.txt", trace)
        place.write_status("failed", trainer.state.epoch, trainer.state.step, reason=text)
    except UserError as unwritten:
        text = f"{text} {unwritten}"
    where = f"the training in {place.shown}" if built.chief else "the training of this worker"
    hint = (
        f" Resume: {job.command(resume=place.shown if built.chief else 'last')}"
        if not built.chief or (place.checkpoints / "last").is_dir()
        else ""
    )
    print(f"trainkit: {where} failed: {text}{hint}", file=sys.stderr, flush=True)
    if lost:
        os._exit(1)  # TensorFlow's own end would wait for the worker that is gone
    return 1


def _last_lines(place: RunDir, best: Monitor, what: str, command: str) -> None:
    value = (
        f"{best.monitor} {best.best:.6g} in epoch {best.best_epoch}"
        if best.best_epoch
        else "no epoch is complete"
    )
    print(f"Run:       {place.shown}\nBest:      {value}\n{what + ':':<11}{command}", flush=True)
