"""The callbacks of a run, as its config asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras

from trainkit.backend.compat import own_schedule
from trainkit.backend.precision import inner_optimizer, learning_rate
from trainkit.callbacks import progress
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.learning_rate import SetLearningRate
from trainkit.callbacks.metrics_csv import MetricsCSV
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.opening import Opening
from trainkit.callbacks.plots import Plots
from trainkit.callbacks.run_status import RunStatus
from trainkit.callbacks.settled_execution import SettledExecution
from trainkit.callbacks.trackers import Tracker, check_installed, make_backend
from trainkit.callbacks.weight_average import (
    WeightAverage,
    has_batch_statistics,
    refresh_batch_statistics,
)
from trainkit.core.datasets import SPLITS, Arrays
from trainkit.core.errors import UserError
from trainkit.core.logs import base_name
from trainkit.experiment.artifacts import model_summary
from trainkit.experiment.job import Job
from trainkit.reporting import REPORT_SECONDS, write_report
from trainkit.runs import run_dir
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.given_objects import check_callbacks, check_pattern
from trainkit.trainer.setup import TrainSetup

__all__ = ["best_keeper", "make_callbacks", "monitored_value"]


def monitored_value(job: Job, setup: TrainSetup, extra: Sequence[keras.callbacks.Callback] = ()) -> str:
    """The logged value that decides which epoch is best.

    The config's, else the task's; where nothing is validated, the task's value over the training rows.

    Args:
        job: What to train.
        setup: The task, ready to be trained.
        extra: Callbacks that the config adds.

    Raises:
        UserError: if this training does not log it, or what callbacks monitor, or names of checkpoints hold.
    """
    asked = job.config.checkpoint.monitor
    name = asked or job.task.monitor()
    if asked is None and setup.splits.validation is None:
        name = base_name(name)
    setup.direction(name, job.config.checkpoint.mode)
    _check_callbacks(job, setup)
    check_callbacks(extra, setup)
    if job.config.checkpoint.enabled:
        own = [keras.callbacks.ReduceLROnPlateau()] if job.config.callbacks.reduce_lr.enabled else []
        check_pattern(job.config.checkpoint, [*extra, *own], setup)
    early = job.config.callbacks.early_stopping
    if early.enabled:
        setup.direction(early.monitor or name, _early_mode(job, early.monitor or name))
    return name


def _check_callbacks(job: Job, setup: TrainSetup) -> None:
    """Refuse callbacks that cannot work, before anything is written."""
    config = job.config.callbacks
    check_installed(config.tracker.name)
    _check_weight_average(job, setup)
    if not config.reduce_lr.enabled:
        return
    if config.reduce_lr.monitor is not None:
        setup.direction(config.reduce_lr.monitor, _mode_of(job, config.reduce_lr.monitor))
    if own_schedule(inner_optimizer(setup.model.optimizer)) is not None:
        raise UserError(
            "callbacks.reduce_lr.enabled=true: the learning rate follows a schedule, which sets it at each "
            "step; expected optimizer.schedule.name=constant and a task without a schedule of its own."
        )


def _check_weight_average(job: Job, setup: TrainSetup) -> None:
    if not job.config.callbacks.swa.enabled:
        return
    early = job.config.callbacks.early_stopping
    clashes = {
        "callbacks.early_stopping.restore_best_weights=true": early.enabled and early.restore_best_weights,
        "optimizer.ema.enabled=true": job.config.optimizer.ema.enabled,
    }
    for setting, is_set in clashes.items():
        if is_set:
            raise UserError(
                f"callbacks.swa.enabled=true and {setting} both decide the last weights; use one."
            )
    by_one_device = setup.replicas == 1 and isinstance(setup.splits.train, Arrays)
    if has_batch_statistics(setup.model) and not by_one_device:
        raise UserError(
            "callbacks.swa.enabled=true: the statistics of BatchNormalization are computed anew for the "
            "average, which needs training rows as arrays and one device."
        )


def best_keeper(job: Job, run: RunDir, setup: TrainSetup, monitor: str) -> Monitor:
    """The callback that follows the monitored value; it saves checkpoints unless they are switched off."""
    config = job.config.checkpoint
    if not config.enabled:
        return Monitor(monitor, config.mode)
    return Checkpoints(
        run.checkpoints,
        monitor,
        config.mode,
        every_steps=config.every_steps,
        every_epochs=config.every_epochs,
        every_minutes=config.every_minutes,
        keep=config.keep,
        keep_every=config.keep_every,
        pattern=config.pattern,
        agree=setup.chiefs_clock(),
    )


def make_callbacks(
    job: Job, run: RunDir, setup: TrainSetup, best: Monitor, write: Callable[[str], None]
) -> list[keras.callbacks.Callback]:
    """The callbacks that the config asks for; on a worker that is not the chief, those that decide something.

    Args:
        job: What to train.
        run: Where files go.
        setup: The task, ready to be trained.
        best: As `best_keeper` makes it.
        write: Takes lines for the terminal.
    """
    made: list[keras.callbacks.Callback] = []
    if setup.is_chief:
        made += _reporters(job, run, setup, write)
    made.append(best)
    early = job.config.callbacks.early_stopping
    if early.enabled:
        made.append(
            EarlyStopping(
                early.monitor or best.monitor,
                patience=early.patience,
                mode=_early_mode(job, early.monitor or best.monitor),
                min_delta=early.min_delta,
                restore_best_weights=early.restore_best_weights,
            )
        )
    if job.config.callbacks.reduce_lr.enabled:
        made.append(_reduce_lr(job, setup, best.monitor))
    if job.config.callbacks.swa.enabled:
        made.append(_weight_average(job, setup))
    rate = job.config.optimizer.learning_rate
    if rate is not None and _rate_was_changed(job):
        made.append(SetLearningRate(rate))
    return made


def _reporters(
    job: Job, run: RunDir, setup: TrainSetup, write: Callable[[str], None]
) -> list[keras.callbacks.Callback]:
    """The callbacks that write files and lines."""
    config = job.config
    made: list[keras.callbacks.Callback] = []
    if config.progress != "none":
        splits = {name: getattr(setup.splits, name) for name in SPLITS}
        rows = {name: len(split) for name, split in splits.items() if isinstance(split, Arrays)}
        summary = "\n\n".join(filter(None, [job.task.description(), model_summary(setup.model)]))
        made.append(Opening(summary, rows, write))
    if config.trainer.execution == "measure":
        made.append(SettledExecution(run.config))
    if config.callbacks.report:
        made.append(RunStatus(partial(_write_report, run), every=REPORT_SECONDS))
    if config.callbacks.csv:
        made.append(MetricsCSV(run.metrics))
        if config.callbacks.plots:
            made.append(Plots(run.plots, run.metrics))
    if config.callbacks.tensorboard.enabled:
        made += _tensorboard(job, run, setup)
    if config.callbacks.tracker.name != "none":
        made.append(_tracker(job, run))
    if config.progress != "none":
        made.append(progress.make(config.progress, sys.stdout))
    return made


def _mode_of(job: Job, name: str) -> str:
    """`checkpoint.mode`, for the value that it is meant for."""
    config = job.config.checkpoint
    return config.mode if name == (config.monitor or job.task.monitor()) else "auto"


def _early_mode(job: Job, name: str) -> str:
    """The mode of early stopping: its own, else that of the value that it shares with the checkpoints."""
    mode = job.config.callbacks.early_stopping.mode
    return mode if mode != "auto" else _mode_of(job, name)


def _reduce_lr(job: Job, setup: TrainSetup, monitor: str) -> keras.callbacks.Callback:
    """Keras's callback, with the direction that the metric has."""
    config = job.config.callbacks.reduce_lr
    name = config.monitor or monitor
    return keras.callbacks.ReduceLROnPlateau(
        name,
        factor=config.factor,
        patience=config.patience,
        mode=setup.direction(name, _mode_of(job, name)),
        min_delta=config.min_delta,
        cooldown=config.cooldown,
        min_lr=config.lowest,
    )


def _weight_average(job: Job, setup: TrainSetup) -> WeightAverage:
    """Averages the last share of the epochs, one at the least."""
    epochs = job.config.trainer.epochs
    start = min(epochs, int(job.config.callbacks.swa.start * epochs) + 1)
    train = setup.splits.train
    if not has_batch_statistics(setup.model) or not isinstance(train, Arrays):
        return WeightAverage(start)
    rows = setup.shape.step_rows
    return WeightAverage(start, lambda: refresh_batch_statistics(setup.model, train.x, rows))


def _tracker(job: Job, run: RunDir) -> Tracker:
    config = job.config.callbacks.tracker
    backend = make_backend(config.name, config.project, config.place, job.config.runs_dir)
    return Tracker(backend, run.path, job.settings, model=config.model)


def _write_report(run: RunDir) -> None:
    write_report(run.path)


def _tensorboard(job: Job, run: RunDir, setup: TrainSetup) -> list[keras.callbacks.Callback]:
    # Imported here: TensorBoard takes a moment, and not every run wants it.
    from trainkit.callbacks.profile import Profile
    from trainkit.callbacks.tensorboard import TensorBoard

    config = job.config.callbacks.tensorboard
    settings = dict(job.settings)
    hparams = _hparams(job, setup)
    made: list[keras.callbacks.Callback] = [
        TensorBoard(
            run.tensorboard, settings, hparams, config.histograms_every, config.graph, trial=run.path.name
        )
    ]
    run_dir.link_tensorboard(run, job.config.runs_dir, job.config.name, job.argv)
    if config.profile:
        made.append(Profile(run.tensorboard))
    return made


def _rate_was_changed(job: Job) -> bool:
    """Whether a resumed run is to go on with another learning rate; a schedule computes its own."""
    schedule = job.config.optimizer.schedule
    is_constant = schedule.name == "constant" and not schedule.warmup_steps
    return "optimizer.learning_rate" in job.changed and is_constant


def _hparams(job: Job, setup: TrainSetup) -> dict[str, Any]:
    """The settings that runs are compared by: the task's arguments, the optimizer and the training."""
    trainer = job.config.trainer
    optimizer = setup.model.optimizer
    inner = inner_optimizer(optimizer)
    rate = learning_rate(optimizer)
    own = {
        key: str(value) if isinstance(value, list) else value
        for key, value in job.config.task.items()
        if key not in ("_target_", "dir") and isinstance(value, (bool, int, float, str, list))
    }
    return {
        **own,
        "engine": trainer.engine,
        "strategy": setup.strategy_name,
        "optimizer": type(inner).__name__,
        "learning_rate": "not known" if rate is None else float(keras.ops.convert_to_numpy(rate)),
        "batch_size": trainer.batch_size,
        "epochs": trainer.epochs,
        "seed": trainer.seed,
        "accumulate": trainer.accumulate,
        "precision": trainer.precision,
    }
