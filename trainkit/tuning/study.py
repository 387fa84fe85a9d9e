"""The trials of a search: which is next, who works on it, and how each ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.trial import FrozenTrial, TrialState

from trainkit.config import TuneConfig
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.tuning.ahead import TrialsAhead, is_independent
from trainkit.tuning.lease import Lease, LeaseKeeper
from trainkit.tuning.samplers import TrialSampler, distributions
from trainkit.tuning.space import Space
from trainkit.tuning.storage import JOURNAL, locked, open_storage, shown_address

__all__ = ["LOCK", "Entry", "HeldTrial", "SearchStudy", "trial_folder", "trials_in_all"]

LOCK = ".lock"
LEASE = "lease.json"
STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class HeldTrial:
    """A trial that this process works on.

    Args:
        number: From 0.
        settings: The value of each key.
        folder: Its run directory.
        lease: Ends with the process.
        trial: As Optuna knows it, for pruning.
    """

    number: int
    settings: Mapping[str, Any]
    folder: Path
    lease: Lease
    trial: optuna.Trial


@dataclass(frozen=True)
class Entry:
    """A trial as the tables show it.

    Args:
        number: From 0.
        state: `running`, `complete`, `pruned` or `failed`.
        values: One per objective; empty if it has none.
        settings: The value of each key, as Optuna holds it.
        seconds: Of its training; None: not finished.
        reason: Why it failed or was pruned.
    """

    number: int
    state: str
    values: Sequence[float] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    reason: str = ""


def trial_folder(search: Path, number: int) -> Path:
    """The run directory of a trial."""
    return search / "trials" / f"{number:04d}"


def _unknown(folder: Path, storage: str) -> UserError:
    return UserError(
        f"{files.shown(folder)} holds trials that {storage} does not know: repeat the command of that search "
        "with the tune.storage that it had, or begin another search with another run_dir=."
    )


class SearchStudy:
    """The trials of a search, which several processes may share.

    Args:
        folder: Of the search.
        name: Of the study; unique in its storage.
        config: Settings of the search.
        space: What is searched.
        directions: `minimize` or `maximize`, one per objective.
        epochs: Epochs of a trial, which Hyperband shares out.

    Raises:
        UserError: if the storage cannot be reached or read, or does not know the trials of the folder.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        config: TuneConfig,
        space: Space,
        directions: Sequence[str],
        epochs: int,
    ) -> None:
        self.folder = folder
        self.config = config
        self.space = space
        self.directions = list(directions)
        self.limit = trials_in_all(config, space)
        self._distributions = distributions(space)
        self._keeper = LeaseKeeper(config.lease)
        with locked(folder / LOCK):
            begun = trial_folder(folder, 0).is_dir()
            if begun and config.storage is None and not (folder / JOURNAL).is_file():
                raise _unknown(folder, JOURNAL)
            self._storage = open_storage(folder, config.storage)
            if begun and name not in [study.study_name for study in self._storage.get_all_studies()]:
                raise _unknown(folder, f"tune.storage={shown_address(str(config.storage))}")
            self._study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                sampler=TrialSampler(config.kind, space, config.seed, config.population),
                pruner=_pruner(config, epochs),
                directions=self.directions,
                load_if_exists=True,
            )
            self._study_id = self._storage.get_study_id_from_name(name)
        self._ahead = None
        if is_independent(config):
            self._ahead = TrialsAhead(self._study, self._storage, self._study_id, space, self.limit)

    def take(self, *, begin_new: bool = True) -> HeldTrial | None:
        """The next trial to work on: one whose process died, else a new one; None: there is none now.

        Args:
            begin_new: Whether a new one may begin.
        """
        with locked(self.folder / LOCK):
            trials = self._study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state == TrialState.RUNNING:
                    lease = self._keeper.take(self._lease_path(trial.number))
                    if lease is not None:
                        return self._held(self._trial(trial.number), lease)
            made = self._begun(len(trials)) if begin_new else None
            if made is None:
                return None
            lease = self._keeper.take(self._lease_path(made.number))
            if lease is None:
                raise RuntimeError(f"Trial {made.number} is new, and somebody holds its lease.")
            return self._held(made, lease)

    def finish(
        self, held: HeldTrial, values: Sequence[float], seconds: float, *, pruned: bool = False
    ) -> None:
        """Note how a trial ended, and let it go."""
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE
        self._end(held, state, list(values), {"seconds": seconds, "values": list(values)})

    def fail(self, held: HeldTrial, reason: str, seconds: float) -> None:
        """Note why a trial failed, and let it go."""
        self._end(held, TrialState.FAIL, None, {"seconds": seconds, "reason": reason})

    def entries(self) -> list[Entry]:
        """All trials that have begun, by number."""
        trials = self._study.get_trials(deepcopy=False)
        return [self._entry(trial) for trial in trials if trial.state != TrialState.WAITING]

    def best(self) -> list[Entry]:
        """The best complete trial; of several objectives, all that no other betters, best of the first
        objective first."""
        if not any(trial.state == TrialState.COMPLETE for trial in self._study.get_trials(deepcopy=False)):
            return []
        found = [self._entry(trial) for trial in self._study.best_trials]
        sign = -1.0 if self.directions[0] == "maximize" else 1.0
        found.sort(key=lambda entry: (sign * entry.values[0], entry.number))
        return found if len(self.directions) > 1 else found[:1]

    def importances(self) -> dict[str, float]:
        """How much each parameter matters for the first objective, by a forest of trees; empty: not known."""
        complete = [t for t in self._study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
        if len(complete) < 4 or len(self.space.parameters) < 2:
            return {}
        target = None if len(self.directions) == 1 else _first_value
        evaluator = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=self.config.seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator, target=target)
        return dict(found)

    def _lease_path(self, number: int) -> Path:
        return trial_folder(self.folder, number) / LEASE

    def _held(self, trial: optuna.Trial, lease: Lease) -> HeldTrial:
        values = {name: self._suggested(trial, name) for name in self._distributions}
        folder = trial_folder(self.folder, trial.number)
        return HeldTrial(trial.number, self.space.decode(values), folder, lease, trial)

    def _begun(self, count: int) -> optuna.Trial | None:
        """A trial that nobody has worked on; None: all of them have begun.

        Args:
            count: Trials that there are.
        """
        if self._ahead is not None:
            number = self._ahead.take()
            return None if number is None else self._trial(number)
        return self._study.ask() if count < self.limit else None

    def _trial(self, number: int) -> optuna.Trial:
        """A running trial, to work on; it keeps the settings that it has."""
        found = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return optuna.Trial(self._study, int(found))

    def _suggested(self, trial: optuna.Trial, name: str) -> Any:
        distribution = self._distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        if isinstance(distribution, IntDistribution):
            d = distribution
            return trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
        if isinstance(distribution, FloatDistribution):
            f = distribution
            return trial.suggest_float(name, f.low, f.high, step=f.step, log=f.log)
        raise TypeError(f"{name}: {distribution} is of no known kind.")

    def _end(
        self,
        held: HeldTrial,
        state: TrialState,
        values: Sequence[float] | None,
        attributes: Mapping[str, Any],
    ) -> None:
        with locked(self.folder / LOCK):
            for key, value in attributes.items():
                held.trial.set_user_attr(key, value)
            self._study.tell(held.number, None if state == TrialState.PRUNED else values, state=state)
        held.lease.release()

    @staticmethod
    def _entry(trial: FrozenTrial) -> Entry:
        known = trial.user_attrs
        return Entry(
            number=trial.number,
            state=STATES[trial.state],
            values=tuple(known.get("values", ())),
            settings=dict(trial.params),
            seconds=known.get("seconds"),
            reason=known.get("reason", ""),
        )


def trials_in_all(config: TuneConfig, space: Space) -> int:
    """Trials of a search.

    Raises:
        UserError: for a grid over a continuous range.
    """
    if config.kind == "grid":
        return min(space.grid_size(), config.trials or math.inf)  # type: ignore[return-value]
    return config.trials or 20


def _first_value(trial: FrozenTrial) -> float:
    return float(trial.values[0])


def _pruner(config: TuneConfig, epochs: int) -> BasePruner:
    if config.prune == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 10))
    if config.prune == "hyperband":
        return HyperbandPruner(min_resource=max(1, epochs // 27), max_resource=epochs)
    if config.prune == "wilcoxon":
        return WilcoxonPruner(p_threshold=0.1)
    return NopPruner()
