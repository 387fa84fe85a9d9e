"""Trials that are settled before their turn, so that a process can take those that it has programs for."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from trainkit.config import TuneConfig
from trainkit.tuning.samplers import TrialSampler, distributions
from trainkit.tuning.space import Space

__all__ = ["TrialsAhead", "is_independent"]

COUNT = 32  # trials that wait, at the most


def is_independent(config: TuneConfig) -> bool:
    """Whether the settings of a trial depend on its number alone, and no other trial ends it."""
    return config.kind in ("grid", "random") and config.prune == "none"


class TrialsAhead:
    """Settles trials of a grid or a random search ahead of their turn, and says which one is next.

    Each process compiles the programs of what it trains. Of the trials that wait, it takes one that needs the
    programs of an earlier one; else one whose programs nobody has; else the first. Which process trains a
    trial, and when, changes nothing in its result.

    Args:
        study: Of the search.
        storage: Of the study.
        study_id: The storage's number of the study.
        space: What is searched.
        limit: Trials in all.
    """

    def __init__(
        self, study: optuna.Study, storage: BaseStorage, study_id: int, space: Space, limit: int
    ) -> None:
        self._study = study
        self._storage = storage
        self._study_id = study_id
        self._limit = limit
        self._distributions = distributions(space)
        self._space = space
        self._own: set[Any] = set()

    def take(self) -> int | None:
        """The number of a trial that waited and runs from now on; None: all have begun."""
        trials = self._study.get_trials(deepcopy=False)
        waiting = [t for t in trials if t.state == TrialState.WAITING and t.number < self._limit]
        if not waiting and len(trials) < self._limit:
            for number in range(len(trials), min(self._limit, len(trials) + COUNT)):
                self._settle(number)
            return self.take()
        structure = self._space.structure
        begun = {structure(trial.params) for trial in trials if trial.state != TrialState.WAITING}
        for trial in sorted(waiting, key=lambda trial: (self._rank(trial, begun), trial.number)):
            if self._storage.set_trial_state_values(self._id(trial.number), TrialState.RUNNING):
                self._own.add(structure(trial.params))
                return int(trial.number)
        return None

    def _settle(self, number: int) -> None:
        trial = optuna.trial.create_trial(state=TrialState.WAITING)
        trial.number = number
        sampler: TrialSampler = self._study.sampler  # which SearchStudy gave it
        settled = optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=sampler.sample_relative(self._study, trial, {}),
            distributions=dict(self._distributions),
        )
        self._storage.create_new_trial(self._study_id, template_trial=settled)

    def _rank(self, trial: FrozenTrial, begun: set[Any]) -> int:
        structure = self._space.structure(trial.params)
        if structure in self._own:
            return 0
        return 2 if structure in begun else 1

    def _id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number))
