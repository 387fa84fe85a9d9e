"""The observers of a run that the command trains, as its config asks for them."""

from __future__ import annotations

import sys
from typing import Any

import keras

from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.learning_rate import LearningRate
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.opening import Opening
from trainkit.callbacks.run_status import Status
from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.experiment.job import Job
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import Built


def best_keeper(job: Job, place: RunDir, built: Built, monitor: str) -> Monitor:
    """What follows the monitored value, and saves checkpoints unless they are switched off."""
    config = job.config.checkpoint
    if not config.enabled:
        return Monitor(monitor, config.mode)
    return Checkpoints(place.checkpoints, config, monitor, config.mode, every_call=built.lockstep is not None)


def observers(
    job: Job, place: RunDir, built: Built, best: Monitor, monitor: str
) -> list[keras.callbacks.Callback]:
    """The observers that the config asks for; on a worker that is not the chief, those that decide something."""
    made: list[keras.callbacks.Callback] = [*_reporters(job, place, built)] if built.chief else []
    made.append(best)
    if job.config.callbacks.early_stopping.enabled:
        made.append(EarlyStopping(job.config.callbacks.early_stopping, monitor))
    rate, schedule = job.config.optimizer.learning_rate, job.config.optimizer.schedule
    if (
        "optimizer.learning_rate" in job.changed
        and rate is not None
        and schedule.name == "constant"
        and not schedule.warmup_steps
    ):
        made.append(LearningRate(rate))
    return made


def _reporters(job: Job, place: RunDir, built: Built) -> list[keras.callbacks.Callback]:
    """Those that write files and lines."""
    config, settings = job.config, job.config.callbacks
    summary = _model_summary(built.model)
    files.write_text(place.path / "model.txt", summary)
    made: list[keras.callbacks.Callback] = [
        Status(lambda epoch, step: place.write_status("running", epoch, step))
    ]
    if config.progress != "none":
        parts = {name: getattr(built.splits, name) for name in ("train", "validation", "test")}
        made.insert(
            0, Opening(summary, {name: len(part) for name, part in parts.items() if isinstance(part, Arrays)})
        )
    if settings.csv:
        from trainkit.callbacks.metrics_csv import MetricsCSV
        from trainkit.callbacks.plots import Plots

        made.append(MetricsCSV(place.path / "metrics.csv"))
        made += [Plots(place.path / "plots", place.path / "metrics.csv")] if settings.plots else []
    if settings.tensorboard.enabled:
        from trainkit.callbacks.profile import Profile
        from trainkit.callbacks.tensorboard import TensorBoard

        board = settings.tensorboard
        made.append(
            TensorBoard(
                place.path / "tensorboard",
                dict(job.settings),
                _hparams(job, built),
                board.histograms_every,
                board.graph,
            )
        )
        made += [Profile(place.path / "tensorboard")] if board.profile else []
    if config.progress != "none":
        from trainkit.callbacks import progress

        made.append(progress.make(config.progress, sys.stdout))
    return made


def _hparams(job: Job, built: Built) -> dict[str, Any]:
    """The settings that runs are compared by: training, optimizer, and the task's own arguments."""
    trainer = job.config.trainer
    optimizer = built.model.optimizer
    values = {
        key: value
        for key, value in job.config.task.items()
        if key not in ("_target_", "dir") and isinstance(value, (bool, int, float, str, list))
    }
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    values.update(
        optimizer=type(optimizer).__name__,
        learning_rate=rate,
        batch_size=trainer.batch_size,
        epochs=trainer.epochs,
    )
    values.update(seed=trainer.seed, accumulate=trainer.accumulate, precision=trainer.precision)
    return {key: str(value) if isinstance(value, list) else value for key, value in values.items()}


def _model_summary(model: keras.Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lambda line, line_break=True: lines.append(line))
    return "\n".join(lines).rstrip("\n") + "\n"
