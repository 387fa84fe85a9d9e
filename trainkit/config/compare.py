"""Settings of mode=compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainkit.config.fields import setting

__all__ = ["STATUSES", "CompareConfig"]

STATUSES = ("any", "completed", "running", "failed", "preempted")


def runs_problem(runs: Any) -> str | None:
    """What the list of runs must be, if `runs` is not one."""
    good = all(isinstance(run, str) and run for run in runs)
    return None if good else "a list of run directories, such as [runs/mnist/a,runs/mnist/b]"


@dataclass
class CompareConfig:
    """mode=compare: two runs, or all that have the settings that the command line names."""

    runs: list[Any] = setting(
        [], "run directories, also as plain words: mode=compare a b; []: all", problem=runs_problem
    )
    status: str = setting("any", "only runs that ended so", choices=STATUSES)
    sort: str | None = setting(None, "column to sort by, such as test/accuracy; null: the monitored value")
    limit: int = setting(30, "rows in the terminal; compare.html has all", at_least=1)
