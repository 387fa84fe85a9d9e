"""Settings of the `tune` group: how to search for good settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainkit.config.fields import setting
from trainkit.config.trainer import MAX_SEED
from trainkit.core.errors import UserError

__all__ = ["KINDS", "PRUNERS", "TuneConfig"]

KINDS = ("grid", "random", "bayesian", "genetic")
PRUNERS = ("none", "median", "hyperband", "wilcoxon")


def space_problem(space: Any) -> str | None:
    """What a space must be, if `space` is none."""
    good = isinstance(space, str) or (isinstance(space, Mapping) and len(space) > 0)
    return None if good else "the name of a file in conf/tune/space, or keys with {low, high} or {choices}"


def objectives_problem(objectives: Any) -> str | None:
    """What a list of objectives must be, if it is none."""
    names = [name for name in objectives if isinstance(name, str) and name]
    good = len(names) == len(objectives) == len(set(names))
    return None if good else "a list of different logged values, such as [val_loss, seconds]"


@dataclass
class TuneConfig:
    """mode=tune: a search over settings."""

    kind: str = setting("bayesian", "how settings are chosen; the group's options set it", choices=KINDS)
    space: Any = setting(
        None, "tune.space.<key>={low, high, log, step} or {choices}, or a file's name", problem=space_problem
    )
    trials: int | None = setting(
        None, "trials in all; null: every point of a grid, 20 of the other kinds", at_least=1
    )
    timeout: float | None = setting(None, "seconds after which no trial begins; null: no limit", above=0)
    seed: int = setting(0, "seed of the choices; folds do not depend on it", at_least=0, below=MAX_SEED)
    objectives: list[Any] = setting(
        [],
        "logged values, seconds or parameters; []: the task's monitored value",
        problem=objectives_problem,
    )
    value: str = setting("best", "which epoch's value counts: the best or the last", choices=("best", "last"))
    jobs: int = setting(1, "processes on this machine that search together", at_least=1)
    cv: int | None = setting(
        None, "folds of a cross-validation; null: the task's validation rows", at_least=2
    )
    prune: str = setting("none", "how bad trials are ended early", choices=PRUNERS)
    population: int = setting(10, "genetic: trials per generation", at_least=2)
    refit: bool = setting(False, "train the best settings on all rows but the test rows, at the end")
    storage: str | None = setting(
        None, "address of an Optuna storage, such as postgresql+psycopg://...; null: study.journal"
    )
    lease: float = setting(
        60.0, "seconds without a heartbeat after which a trial is taken up by another process", at_least=1
    )
    save_every: float = setting(10.0, "seconds between checkpoints of a running trial", above=0)

    def check(self, prefix: str) -> None:
        """Refuse ways of pruning that do not go together with the rest.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        if self.prune == "wilcoxon" and self.cv is None:
            raise UserError(
                f"{prefix}prune=wilcoxon compares folds; set {prefix}cv, or choose median or hyperband."
            )
        if self.prune in ("median", "hyperband") and self.cv is not None:
            raise UserError(
                f"{prefix}prune={self.prune} compares epochs of one training; with {prefix}cv={self.cv}, "
                f"expected {prefix}prune=wilcoxon."
            )
        if self.prune != "none" and len(self.objectives) > 1:
            raise UserError(
                f"{prefix}prune={self.prune} compares one value; {prefix}objectives names "
                f"{len(self.objectives)}. Set {prefix}prune=none."
            )
