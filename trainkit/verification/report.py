"""What a comparison of two trainings found, for people and for `parity.json`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainkit.core.datasets import Source

__all__ = ["Report", "VariableDifference", "difference_lines", "verdict_lines"]

MAX_NAMED = 3  # variables that a line names


class VariableDifference(NamedTuple):
    """How far a variable is apart in two trainings.

    Args:
        name: Of the variable, from `model/`, `optimizer/` or `metrics/` on.
        distance: Largest absolute difference.
        ulp: Largest difference in units in the last place; None if it was not counted.
    """

    name: str
    distance: float
    ulp: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The differences between a training by trainkit and the same one by `model.fit`.

    Args:
        tolerance: Largest difference that passes; 0.0 demands equal bits.
        reason: Why the tolerance is what it is.
        steps: Optimizer steps that were compared.
        epochs: Epochs that were compared.
        differences: Largest absolute difference of each value that was compared, apart from the variables.
        variables: The difference of each variable at the end.
        first_step: The first step, from 1, after which anything differs; 0 if none does; None if the steps
            were not compared.
        first_names: The variables that differ there.
        losses: The running loss of both, trainkit's first.
        losses_per: What the losses stand for each: `step`, or `epoch` if the steps were not compared.
        seconds: Of each training, start-up included: `trainkit` and `keras`.
        about: What was compared: task, data set, mode, precision, strategy, versions.
        source: Where the rows came from.
        devices: What computed.
    """

    tolerance: float
    reason: str
    steps: int
    epochs: int
    differences: dict[str, float]
    variables: list[VariableDifference]
    first_step: int | None
    first_names: list[str]
    losses: tuple[list[float], list[float]]
    losses_per: str
    seconds: dict[str, float]
    about: dict[str, Any]
    source: Source
    devices: str

    @property
    def worst(self) -> float:
        """The largest difference of all; infinite if one is not a number."""
        values = [*self.differences.values(), *(v.distance for v in self.variables)]
        return math.inf if any(math.isnan(v) for v in values) else max(values)

    @property
    def passed(self) -> bool:
        """Whether all differences are within the tolerance."""
        return self.worst <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `parity.json`."""
        return {
            **self.about,
            "passed": self.passed,
            "tolerance": self.tolerance,
            "tolerance_reason": self.reason,
            "steps": self.steps,
            "epochs": self.epochs,
            "max_difference": self.worst,
            "max_ulp": max(v.ulp or 0.0 for v in self.variables),
            "differences": self.differences,
            "first_difference": {"step": self.first_step, "variables": self.first_names},
            "variables": [
                {"name": v.name, "max_difference": v.distance, "max_ulp": v.ulp} for v in self.variables
            ],
            "loss": {"trainkit": self.losses[0], "keras": self.losses[1]},
            "seconds": self.seconds,
        }

    def lines(self) -> list[str]:
        """The report as text for people."""
        lines = difference_lines("compared", self.variables, self.differences, values_first=True)
        if self.first_step:
            named = ", ".join(self.first_names[:MAX_NAMED])
            more = " …" if len(self.first_names) > MAX_NAMED else ""
            lines.append(f"First difference: after step {self.first_step}, in {named}{more}")
        lines.append(
            f"Time:      trainkit {self.seconds['trainkit']:.2f} s, model.fit {self.seconds['keras']:.2f} s, "
            f"for {self.steps} steps, start-up included"
        )
        return [*lines, *verdict_lines(self.tolerance, self.reason, self.passed, self.worst)]


def difference_lines(
    title: str,
    variables: Sequence[VariableDifference],
    values: dict[str, float],
    *,
    values_first: bool = False,
) -> list[str]:
    """A table of differences: a line for each value, and one for each group of variables.

    Args:
        title: Head of the first column.
        variables: The worst of each group `model`, `optimizer` and `metrics` is named.
        values: Largest difference by name.
        values_first: Whether the values stand above the variables.
    """
    groups = [_group_line(group, variables) for group in ("model", "optimizer", "metrics")]
    of_variables = [line for line in groups if line]
    of_values = [_line(name, value) for name, value in values.items()]
    body = of_values + of_variables if values_first else of_variables + of_values
    return [f"{title:<34}{'largest difference':>20}", *body]


def verdict_lines(tolerance: float, reason: str, passed: bool, worst: float, after: str = "") -> list[str]:
    """The last two lines of a report: the tolerance, and whether it was kept."""
    verdict = "passed" if passed else "FAILED"
    return [
        f"Tolerance: {tolerance:g} ({reason})",
        f"Parity:    {verdict}, largest difference {worst:g}{after}",
    ]


def _group_line(group: str, variables: Iterable[VariableDifference]) -> str:
    """The worst variable of a group; empty if the group has none."""
    members = [v for v in variables if v.name.startswith(f"{group}/")]
    if not members:
        return ""
    worst = max(members, key=lambda v: math.inf if math.isnan(v.distance) else v.distance)
    ulp = "" if worst.ulp is None else f", {worst.ulp:g} ULP"
    where = f"{worst.name}{ulp}" if worst.distance else ""
    return _line(f"{group} variables ({len(members)})", worst.distance, where)


def _line(name: str, value: float, where: str = "") -> str:
    return f"{name:<34}{value:>20.3g}  {where}".rstrip()
