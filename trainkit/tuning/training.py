"""Trains one trial: once, or once per fold, with what is needed to go on with it after its process died."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from trainkit.backend.compat.names import kept_names
from trainkit.callbacks.callback_list import CallbackList
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.metrics_csv import MetricsCSV
from trainkit.callbacks.observer import Observer
from trainkit.checkpoint.members import Damaged, check
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import TuneConfig
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.core.logs import base_name
from trainkit.data.folds import fold_of
from trainkit.runs import metrics_csv
from trainkit.runs.run_dir import CHECKPOINT, RunDir
from trainkit.trainer.fit_loop import FitLoop
from trainkit.trainer.program_pool import ProgramPool
from trainkit.trainer.setup import TrainSetup
from trainkit.tuning.candidate import Candidate

__all__ = [
    "MEASURED",
    "Outcome",
    "Stopped",
    "TrialTraining",
    "default_objective",
    "objective_directions",
]

MEASURED = ("seconds", "parameters")  # objectives that are no logged values; fewer are better
RESULT = "result.json"
REPORTS = 20  # to a pruner, per training, at most


class Stopped(Exception):
    """The process was asked to stop; the trial can be taken up again."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Args:
        values: One per objective; of several folds, the means.
        seconds: Of its epochs.
        pruned: Whether it was ended early.
    """

    values: tuple[float, ...]
    seconds: float
    pruned: bool = False


def objective_directions(setup: TrainSetup, objectives: Sequence[str]) -> list[str]:
    """`minimize` or `maximize` for each objective.

    Raises:
        UserError: for one that the training does not log.
    """
    lower = {"min": "minimize", "max": "maximize"}
    return ["minimize" if name in MEASURED else lower[setup.direction(name)] for name in objectives]


def default_objective(setup: TrainSetup) -> str:
    """The task's monitored value; over the training rows where nothing is validated."""
    name = setup.task.monitor()
    return name if setup.splits.validation is not None else base_name(name)


class TrialTraining:
    """Trains trials, one after the other, with shared programs.

    Args:
        config: Settings of the search.
        objectives: Their names.
        directions: `minimize` or `maximize` for each.
        pool: Where programs are shared.
        stop_reason: Gives a reason once the process is asked to stop.
    """

    def __init__(
        self,
        config: TuneConfig,
        objectives: Sequence[str],
        directions: Sequence[str],
        pool: ProgramPool,
        stop_reason: Callable[[], str | None],
    ) -> None:
        self.config = config
        self.objectives = list(objectives)
        self.directions = list(directions)
        self.pool = pool
        self.stop_reason = stop_reason

    def train(self, candidate: Candidate, folder: Path, pruner: Any) -> Outcome:
        """Train a candidate, from its last checkpoint if there is one.

        Args:
            candidate: What to train.
            folder: Its run directory.
            pruner: Optuna's trial, which may end it early.

        Raises:
            Stopped: if the process was asked to stop; all that was done is kept.
            UserError: if it cannot be trained, or its value is no number.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in candidate.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        with files.using(_TrialDisk(self.config.save_every)):
            if self.config.cv is None:
                return self._train_once(candidate, folder, pruner)
            return self._cross_validate(candidate, folder, self.config.cv, pruner)

    def _cross_validate(self, candidate: Candidate, folder: Path, folds: int, pruner: Any) -> Outcome:
        outcomes: list[Outcome] = []
        for number in range(folds):
            place = folder / f"fold-{number + 1}"
            done = files.read_or_set_aside(place / RESULT)
            if done:
                outcome = Outcome(tuple(done["values"]), done["seconds"])
            else:
                task, data = fold_of(candidate.task, number, folds, candidate.data)
                outcome = self._train_once(replace(candidate, task=task, data=data), place, None)
                files.write_json(place / RESULT, {"values": outcome.values, "seconds": outcome.seconds})
            outcomes.append(outcome)
            if self.config.prune == "wilcoxon":
                pruner.report(outcome.values[0], number)
                if number + 1 < folds and pruner.should_prune():
                    return _mean(outcomes, pruned=True)
        return _mean(outcomes, pruned=False)

    @kept_names()
    def _train_once(self, candidate: Candidate, folder: Path, pruner: Any) -> Outcome:
        setup, cache = self.pool.setup(candidate.task, candidate.trainer, candidate.optimizer, candidate.data)
        run = RunDir(folder)
        folder.mkdir(parents=True, exist_ok=True)
        name = self._followed(setup)
        observers: list[Any] = [MetricsCSV(run.metrics)]
        pruning = None
        if pruner is not None and self.config.prune in ("median", "hyperband"):
            pruning = _Pruning(pruner, self.objectives[0], candidate.trainer.epochs)
            observers.append(pruning)
        observers.append(_LastCheckpoint(run.checkpoints, name, self.config.save_every))
        early = candidate.early_stopping
        if early.enabled:
            observers.append(
                EarlyStopping(
                    early.monitor or name,
                    patience=early.patience,
                    mode=early.mode,
                    min_delta=early.min_delta,
                    restore_best_weights=early.restore_best_weights,
                )
            )
        resume = run.last if _is_whole(run.last) else None
        with setup.strategy.scope():
            callbacks = CallbackList([*observers, *candidate.callbacks()], setup.state, setup.direction)
            loop = FitLoop(setup, cache, callbacks, self.stop_reason, finds_bottleneck=False)
            loop.run(resume)
        if self.stop_reason() is not None and setup.state.epoch < candidate.trainer.epochs:
            raise Stopped(self.stop_reason())
        return self._outcome(run, setup, pruned=pruning is not None and pruning.pruned)

    def _followed(self, setup: TrainSetup) -> str:
        """The logged value that checkpoints and early stopping follow."""
        logged = [name for name in self.objectives if name not in MEASURED]
        return logged[0] if logged else default_objective(setup)

    def _outcome(self, run: RunDir, setup: TrainSetup, *, pruned: bool) -> Outcome:
        rows = metrics_csv.read_rows(run.metrics)
        seconds = sum(float(row["seconds"]) for row in rows)
        curves = metrics_csv.curves(rows)
        values = []
        for name, direction in zip(self.objectives, self.directions, strict=True):
            if name == "seconds":
                values.append(seconds)
            elif name == "parameters":
                values.append(float(setup.model.count_params()))
            else:
                values.append(self._value_of(name, direction, curves))
        return Outcome(tuple(values), seconds, pruned)

    def _value_of(self, name: str, direction: str, curves: Mapping[str, Any]) -> float:
        """The value of an objective: of its best or its last epoch.

        Raises:
            UserError: if no epoch has it, or it is no finite number.
        """
        epochs, series = curves.get(name, ([], []))
        finite = [value for value in series if np.isfinite(value)]
        if not series:
            raise UserError(f"no epoch logged {name}; it is validated every trainer.validate_every epochs.")
        if not finite or (self.config.value == "last" and not np.isfinite(series[-1])):
            raise UserError(f"{name} is {series[-1]} in epoch {epochs[-1]}.")
        if self.config.value == "last":
            return float(series[-1])
        return float(min(finite) if direction == "minimize" else max(finite))


def _mean(outcomes: Sequence[Outcome], *, pruned: bool) -> Outcome:
    """The mean of each objective over the folds; seconds are summed."""
    values = tuple(fmean(column) for column in zip(*(o.values for o in outcomes), strict=True))
    return Outcome(values, sum(o.seconds for o in outcomes), pruned)


def _is_whole(checkpoint: Path) -> bool:
    """Whether a trial can go on from a checkpoint; a loss of power may have left a part of it."""
    if not (checkpoint / CHECKPOINT).is_file():
        return False
    try:
        check(checkpoint)
    except Damaged:
        return False
    return True


class _TrialDisk(files.Disk):
    """Forces nothing to the disk in the first seconds of a trial: training it again after a loss of power
    takes less time than waiting for the disk in all trials. A process may be killed at any time."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def flush(self, path: Path) -> None:
        if time.monotonic() > self._until:
            super().flush(path)


class _LastCheckpoint(Checkpoints):
    """Saves `last` every so many seconds and at the end, and no more: trials are many and short."""

    def __init__(self, folder: Path, monitor: str, every: float) -> None:
        super().__init__(folder, monitor, every_call=True)
        self.every = every
        self._saved_at = self.clock()

    def on_new_best(self, state: TrainState, values: Any) -> None:
        """The best weights of a trial are not kept; its best settings can be trained again."""

    def after_call(self, state: TrainState, logs: Mapping[str, Any], *, final: bool = False) -> None:
        if final or self.clock() - self._saved_at > self.every:
            super().after_call(state, logs, final=final)
            self._saved_at = self.clock()


class _Pruning(Observer):
    """Reports a value to Optuna's pruner now and then, and stops the training when it says so."""

    def __init__(self, trial: Any, monitor: str, epochs: int) -> None:
        super().__init__()
        self.trial = trial
        self.monitor = monitor
        self.every = max(1, epochs // REPORTS)
        self.pruned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        if self.pruned or value is None or (epoch + 1) % self.every:
            return
        self.trial.report(float(value), epoch + 1)
        self.pruned = bool(self.trial.should_prune())
        if self.pruned:
            self.model.stop_training = True
