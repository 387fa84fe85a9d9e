"""One process's part in a search: takes trials, trains them, and notes how they ended."""

from __future__ import annotations

import json
import secrets
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from trainkit.backend.compat.names import FirstNames, kept_names, same_names
from trainkit.backend.generators import kept_generators
from trainkit.config import TrainerConfig, TuneConfig
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.data.folds import fold_of
from trainkit.runs import metrics_csv
from trainkit.runs.run_dir import SEARCH
from trainkit.trainer.chosen_execution import situation_of
from trainkit.trainer.execution import xla_by_rule
from trainkit.trainer.index_checks import index_check
from trainkit.trainer.optimizers import make_optimizer
from trainkit.trainer.program_pool import ProgramPool
from trainkit.trainer.setup import TrainSetup
from trainkit.tuning.candidate import Candidate
from trainkit.tuning.results import write_tables
from trainkit.tuning.space import Space
from trainkit.tuning.storage import locked, open_storage
from trainkit.tuning.study import LOCK, Entry, HeldTrial, SearchStudy, trial_folder, trials_in_all
from trainkit.tuning.training import MEASURED, Stopped, TrialTraining, default_objective, objective_directions

__all__ = ["Search", "SearchPlan"]

POLL_SECONDS = 0.2  # between two looks at the trials of others
TABLE_SECONDS = 1.0  # between two writes of the tables
OPTIMIZER_KEYS = {
    "optimizer.weight_decay": "weight_decay",
    "optimizer.clip.norm": "clipnorm",
    "optimizer.clip.global_norm": "global_clipnorm",
    "optimizer.clip.value": "clipvalue",
    "optimizer.ema.momentum": "ema_momentum",
}
OPTION = "optimizer.options."
OF_THE_MODEL = ("task", "data")  # settings that a model is built from


@dataclass(frozen=True)
class SearchPlan:
    """What is searched, and how.

    Args:
        folder: Of the search; made if it is not there, joined if it holds this search.
        config: Settings of the search.
        space: What is searched.
        make: Gives the candidate for a choice of settings by their keys; `{}` means the settings as they are.
        identity: All that must be equal in every process of the search, as plain values.
        files: Texts to keep in the folder, by name.
        experiment: Gives the text of `best.yaml` for settings and a comment.
        config_dir: The config directory that the task came from; None: ours.
    """

    folder: Path
    config: TuneConfig
    space: Space
    make: Callable[[Mapping[str, Any]], Candidate]
    identity: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    experiment: Callable[[Mapping[str, Any], str], str] | None = None
    config_dir: str | None = None


class Search:
    """This process's part in a search.

    Args:
        plan: What is searched.
        told: Is given all trials after each change, for people.

    Raises:
        UserError: for anything that cannot be searched, before the folder is made.
    """

    def __init__(self, plan: SearchPlan, told: Callable[[list[Entry]], None] = lambda entries: None) -> None:
        self.plan = plan
        self.told = told
        self.stopped: str | None = None
        config = plan.config
        trials = trials_in_all(config, plan.space)
        base = plan.make({})
        if base.trainer.engine != "trainkit":
            raise UserError(
                f"trainer.engine={base.trainer.engine}: trials are trained by trainkit's loop, so that they "
                "share programs; leave it out, or compare both loops with mode=parity."
            )
        pool = ProgramPool(_optimizer_values(plan.space))
        self._names: FirstNames = {}
        with kept_generators(), same_names(self._names):
            setup = _first_setup(base, config, pool)
            for settings in plan.space.samples():
                _check(plan, settings, base, pool, setup)
        self.objectives = list(config.objectives) or [default_objective(setup)]
        directions = objective_directions(setup, self.objectives)
        trainings = trials * (config.cv or 1)
        execution = _execution(setup, max(1, trainings // plan.space.structures()))
        if config.storage is not None:
            open_storage(plan.folder, config.storage)  # before anything is made
        name, self._execution = _opened(plan, execution)
        epochs = base.trainer.epochs
        self.study = SearchStudy(plan.folder, name, config, plan.space, directions, epochs)
        self._training = TrialTraining(config, self.objectives, directions, pool, lambda: self.stopped)
        self._began = time.monotonic()
        self._written = -TABLE_SECONDS

    def request_stop(self, reason: str) -> None:
        """Ask the search to stop at the next safe point; safe to call from a signal handler."""
        self.stopped = reason

    def run(self) -> list[Entry]:
        """Work on trials until all are finished, or somebody asks to stop; returns all trials.

        while nobody asked to stop:
            take up a trial whose process died, or begin a new one
            if there is none: the search is over, or others still work, and may die
            train it; note how it ended; write the tables
        """
        self._write()
        while self.stopped is None:
            held = self.study.take(begin_new=not self._timed_out())
            if held is not None:
                with kept_generators(), same_names(self._names):
                    self._work(held)
                self._write(now=False)
            elif any(entry.state == "running" for entry in self.study.entries()):
                time.sleep(POLL_SECONDS)
            else:
                break
        return self._write()

    def best_epochs(self, entry: Entry) -> int | None:
        """The epoch of a trial's best value, the mean one of several folds; None: its last epoch counts."""
        if self.plan.config.value == "last" or self.objectives[0] in MEASURED:
            return None
        falling = self.study.directions[0] == "maximize"
        found = []
        for path in sorted(trial_folder(self.plan.folder, entry.number).rglob("metrics.csv")):
            epochs, values = metrics_csv.curves(metrics_csv.read_rows(path)).get(self.objectives[0], ([], []))
            ranked = [
                (-value if falling else value, epoch) for epoch, value in zip(epochs, values, strict=True)
            ]
            found += [min(pair for pair in ranked if pair[0] == pair[0])[1]] if ranked else []
        return max(1, round(fmean(found))) if found else None

    def _work(self, held: HeldTrial) -> None:
        begin = time.monotonic()
        try:
            candidate = self.plan.make(held.settings)
            candidate = replace(candidate, trainer=self._settled(candidate.trainer))
            outcome = self._training.train(candidate, held.folder, held.trial)
        except (Stopped, KeyboardInterrupt):
            held.lease.release()
            return
        except UserError as error:
            self.study.fail(held, one_line(str(error)), time.monotonic() - begin)
        except (Exception, SystemExit) as error:
            (held.folder / "error.txt").write_text(
                "".join(traceback.format_exception(error)), encoding="utf-8"
            )
            first = one_line(str(error).strip().partition("\n")[0])
            self.study.fail(held, f"{type(error).__name__}: {first}", time.monotonic() - begin)
        else:
            self.study.finish(held, outcome.values, outcome.seconds, pruned=outcome.pruned)

    def _settled(self, trainer: TrainerConfig) -> TrainerConfig:
        """The settings of a trial without `auto`, which would choose anew for each; with the kernels that
        `auto` takes, so that the best settings train alike by themselves."""
        if trainer.execution != "auto":
            return trainer
        fast = True if trainer.fast_kernels is None else trainer.fast_kernels
        return replace(trainer, execution=self._execution, fast_kernels=fast)

    def _timed_out(self) -> bool:
        limit = self.plan.config.timeout
        return limit is not None and time.monotonic() - self._began > limit

    def _write(self, *, now: bool = True) -> list[Entry]:
        if not now and time.monotonic() - self._written < TABLE_SECONDS:
            return []
        with locked(self.plan.folder / LOCK):
            entries = write_tables(self.study, self.objectives, self.plan.experiment)
        self._written = time.monotonic()
        self.told(entries)
        return entries


@kept_names()
def _first_setup(base: Candidate, config: TuneConfig, pool: ProgramPool) -> TrainSetup:
    """The settings as they are, made ready: what is wrong with them is wrong with all trials."""
    task, data = base.task, base.data
    if config.cv is not None:
        task, data = fold_of(task, 0, config.cv, data)
    return pool.setup(task, base.trainer, base.optimizer, data)[0]


@kept_names()
def _check(
    plan: SearchPlan, settings: Mapping[str, Any], base: Candidate, pool: ProgramPool, setup: TrainSetup
) -> None:
    """Refuse a value of one key of the space with which nothing can be trained, the other keys being as they
    are."""
    made = plan.make(settings)
    if made.optimizer != base.optimizer:
        make_optimizer(base.task, made.trainer, made.optimizer, setup.shape.steps)
    key, value = next(iter(settings.items()))
    if key.partition(".")[0] not in OF_THE_MODEL:
        return
    try:
        task, data = made.task, made.data
        if plan.config.cv is not None:
            task, data = fold_of(task, 0, plan.config.cv, data)
        pool.check(task, made.trainer, made.optimizer, data)
    except (Exception, SystemExit) as error:  # whatever the task raises for this value
        first = one_line(str(error).strip().partition("\n")[0])
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        raise UserError(f"tune.space.{key}: {value} cannot be trained: {kind}{first}") from error


def _optimizer_values(space: Space) -> set[str]:
    """The attributes of the optimizer that the space changes."""
    found = {OPTIMIZER_KEYS[key] for key in space.keys if key in OPTIMIZER_KEYS}
    return found | {key.removeprefix(OPTION) for key in space.keys if key.startswith(OPTION)}


def _execution(setup: TrainSetup, trainings: int) -> str:
    """What `trainer.execution=auto` means here: XLA where it pays over the trainings that share a program."""
    if setup.replicas > 1:
        return "epoch"
    situation = situation_of(setup, setup.config.epochs * setup.shape.steps * trainings)
    if not xla_by_rule(situation, setup.model)[0]:
        return "epoch"
    reason, check = index_check(setup)
    unseen = (
        check is not None and not setup.source.is_seen
    )  # rows that nobody looks at where XLA is asked for
    return "epoch" if reason or unseen else "epoch_xla"


def _opened(plan: SearchPlan, execution: str) -> tuple[str, str]:
    """Make the folder of a search, or join the one that is there.

    Args:
        plan: Of the search.
        execution: What `trainer.execution=auto` means, if the search begins now.

    Returns:
        The name of its study, and what `trainer.execution=auto` means in it.

    Raises:
        UserError: if the folder is of another search.
    """
    path = plan.folder / SEARCH
    identity = json.loads(json.dumps(files.plain_json(plan.identity)))
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"Cannot make the folder {plan.folder}: {error.strerror}; choose another with run_dir=."
        ) from error
    with locked(plan.folder / LOCK):
        known = files.read_json(path)
        if not known:
            for name, text in plan.files.items():
                files.write_text(plan.folder / name, text)
            name = f"{plan.folder.name}-{secrets.token_hex(4)}"
            known = {"study": name, "execution": execution, "identity": identity}
            files.write_json(path, {**known, "config_dir": plan.config_dir, "created": files.now()})
    different = _first_difference(known.get("identity", {}), identity)
    if different is not None:
        key, before, now = different
        raise UserError(
            f"{files.shown(plan.folder)} is a search with {key}={before}, not {now}; repeat its command, or "
            "begin another search with another run_dir=."
        )
    return str(known["study"]), str(known.get("execution", execution))


def _first_difference(before: Any, now: Any, key: str = "") -> tuple[str, Any, Any] | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            found = _first_difference(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
            if found is not None:
                return found
        return None
    return None if before == now else (key, before, now)
