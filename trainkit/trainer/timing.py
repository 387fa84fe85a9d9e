"""Where the time of a fit goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bottleneck", "FitTimes", "timed"]


def timed(function: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


@dataclass(frozen=True)
class Bottleneck:
    """Classifies the bottleneck of a loop.

    Args:
        by: `host` (time outside of compiled calls), `input` (time waiting for rows) or `device`.
        host_share: Share of the loop's time outside of compiled calls, from 0 to 1.
        input_share: Share of the loop's time that it waited for rows, from 0 to 1.
    """

    by: str
    host_share: float
    input_share: float

    @classmethod
    def of(cls, seconds: float, inside: float, waiting: float) -> Bottleneck:
        """Of a loop of `seconds`, of which it was `inside` of compiled calls and `waiting` for rows."""
        whole = max(seconds, 1e-9)
        waited = min(1.0, max(0.0, waiting / whole))
        host = min(1.0, max(0.0, 1 - (inside + waiting) / whole))
        by = "device"
        if max(waited, host) > 0.5:
            by = "input" if waited >= host else "host"
        return cls(by, host, waited)

    def as_dict(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {"by": self.by, "host_share": self.host_share, "input_share": self.input_share}


@dataclass
class FitTimes:
    """Seconds of a fit, and the steps that it ran.

    Args:
        total: From the call of `fit` to its return.
        compile: Tracing, compiling and choosing the program.
        train: Calls that train; without the validation that runs inside of them, once `split` has been
            called.
        validate: Validation.
        waiting: For rows.
        steps: Optimizer steps.
        rows: Training rows.
        calls: Calls of the compiled program that trained.
        validated_inside: Validations that ran inside of these calls.
    """

    total: float = 0.0
    compile: float = 0.0
    train: float = 0.0
    validate: float = 0.0
    waiting: float = 0.0
    steps: int = 0
    rows: int = 0
    calls: int = 0
    validated_inside: int = 0
    bottleneck: Bottleneck | None = field(default=None)

    def trained(self, seconds: float, steps: int, rows: int) -> None:
        """Count a call that trained."""
        self.train += seconds
        if steps:
            self.calls += 1
            self.steps += steps
            self.rows += rows

    def split(self, validate_seconds: float) -> None:
        """Take the validation that ran inside of training calls out of their time."""
        inside = min(validate_seconds, self.train / 2)
        self.validate += inside
        self.train -= inside

    @property
    def steps_per_second(self) -> float:
        """Optimizer steps per second of training, with the time that it waited for rows."""
        return self.steps / max(self.train + self.waiting, 1e-9)

    @property
    def examples_per_second(self) -> float:
        """Training rows per second of training, with the time that it waited for rows."""
        return self.rows / max(self.train + self.waiting, 1e-9)

    def as_dict(self) -> dict[str, float]:
        """For `summary.json`."""
        return {"total": self.total, "compile": self.compile, "train": self.train, "validate": self.validate}
