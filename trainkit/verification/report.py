"""Is it the same training? One task through trainkit's loop and through `model.fit`, compared step by step and variable by variable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trainkit.core.datasets import Source


@dataclass
class Report:
    """The differences between the two trainings.

    Attributes:
        tolerance: Largest difference that passes; 0.0 demands equal bits.
        differences: Largest absolute difference by what was compared.
        variables: For each variable: name, largest absolute difference, largest distance in units in the last place.
        first_step: The first step (1-based) after which anything differs, 0 if none does; None if steps were not compared.
        first_names: The variables that differ there.
    """

    tolerance: float
    reason: str
    steps: int
    epochs: int
    differences: dict[str, float]
    variables: list[tuple[str, float, float]]
    first_step: int | None
    first_names: list[str]
    losses: tuple[list[float], list[float]]
    seconds: dict[str, float]
    about: dict[str, Any]
    source: Source
    devices: str

    @property
    def worst(self) -> float:
        values = [*self.differences.values(), *(v[1] for v in self.variables)]
        return math.inf if any(math.isnan(v) for v in values) else max(values)

    @property
    def passed(self) -> bool:
        return self.worst <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `parity.json`."""
        return {
            **self.about, "passed": self.passed, "tolerance": self.tolerance, "tolerance_reason": self.reason, "steps": self.steps, "epochs": self.epochs,
            "max_difference": self.worst, "max_ulp": max(v[2] for v in self.variables), "differences": self.differences,
            "first_difference": {"step": self.first_step, "variables": self.first_names},
            "variables": [{"name": n, "max_difference": d, "max_ulp": u} for n, d, u in self.variables],
            "loss": {"trainkit": self.losses[0], "keras": self.losses[1]}, "seconds": self.seconds,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """What people read."""
        rows = [(name, value, "") for name, value in self.differences.items()]
        for group in ("model", "optimizer", "metrics"):
            mine = [v for v in self.variables if v[0].startswith(f"{group}/")]
            if mine:
                name, value, ulp = max(mine, key=lambda v: math.inf if math.isnan(v[1]) else v[1])
                rows.append(
                    (f"{group} variables ({len(mine)})", value, f"{name}, {ulp:g} ULP" if value else "")
                )
        out = [f"{'compared':<34}{'largest difference':>20}"] + [
            f"{a:<34}{b:>20.3g}  {c}".rstrip() for a, b, c in rows
        ]
        if self.first_step:
            out.append(
                f"First difference: after step {self.first_step}, in {', '.join(self.first_names[:3])}{' …' if len(self.first_names) > 3 else ''}"
            )
        out.append(
            f"Time:      trainkit {self.seconds['trainkit']:.2f} s, model.fit {self.seconds['keras']:.2f} s, for {self.steps} steps, start-up included"
        )
        out.append(f"Tolerance: {self.tolerance:g} ({self.reason})")
        out.append(f"Parity:    {'passed' if self.passed else 'FAILED'}, largest difference {self.worst:g}")
        return out
