"""How the next trial's settings are chosen: Optuna's samplers, made repeatable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from trainkit.tuning.space import Parameter, Space

__all__ = ["TrialSampler", "distributions"]


class TrialSampler(BaseSampler):
    """Chooses all settings of a trial at once, from the seed, its number and the finished trials alone.

    Optuna's samplers draw from one stream of random numbers, so that a search that was interrupted goes on
    with other settings. Here each trial has a sampler of its own; a trial that was created but got none of
    its settings before its process died gets them now, the same ones.

    Args:
        kind: `grid`, `random`, `bayesian` (TPE) or `genetic` (NSGA-II).
        space: What is searched.
        seed: Of the search.
        population: Trials per generation of `genetic`.
    """

    def __init__(self, kind: str, space: Space, seed: int, population: int) -> None:
        self.kind = kind
        self.space = space
        self.seed = seed
        self.population = population
        self._distributions = distributions(space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters."""
        return dict(self._distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The settings of a trial, as Optuna holds them."""
        if self.kind == "grid":
            return self.space.grid_point(trial.number)
        sampler = self._of_trial(trial.number)
        related = sampler.infer_relative_search_space(study, trial)
        chosen = dict(sampler.sample_relative(study, trial, related)) if related else {}
        for name, distribution in self._distributions.items():
            if name not in chosen:
                chosen[name] = sampler.sample_independent(study, trial, name, distribution)
        return chosen

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never needed: all parameters are chosen together."""
        raise NotImplementedError(f"{param_name} is no parameter of this search.")

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Nothing is remembered between trials."""

    def _of_trial(self, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.kind == "random":
            return RandomSampler(seed=seed)
        if self.kind == "genetic":
            return NSGAIISampler(population_size=self.population, seed=seed)
        return TPESampler(seed=seed)


def distributions(space: Space) -> Mapping[str, BaseDistribution]:
    """The parameters of a space as Optuna knows them."""
    return {parameter.key: _distribution(parameter) for parameter in space.parameters}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.choices:
        return CategoricalDistribution([parameter.encode(choice) for choice in parameter.choices])
    if parameter.is_whole:
        step = int(parameter.step or 1)
        high = int(parameter.low + (parameter.high - parameter.low) // step * step)
        return IntDistribution(int(parameter.low), high, log=parameter.log, step=step)
    step_size = None if parameter.step is None else float(parameter.step)
    return FloatDistribution(float(parameter.low), float(parameter.high), log=parameter.log, step=step_size)
