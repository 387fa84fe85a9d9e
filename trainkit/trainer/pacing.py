"""How much one call of the compiled program runs: long enough to cost nothing, short enough to be told and
stopped."""

from __future__ import annotations

__all__ = ["CALL_SECONDS", "MAX_EPOCHS_PER_CALL", "Pacing"]

CALL_SECONDS = 0.5  # often enough for progress bars, signals and checkpoints
MAX_EPOCHS_PER_CALL = 1000
GROWTH = 8  # a call is at most so many times longer than the one before


class Pacing:
    """Chooses the length of the next call from the speed of the last one.

    Args:
        step_seconds: Seconds per optimizer step, if known; 0: not known, so that the first call is short.
        steps_per_unit: Optimizer steps of a unit of the first call.
    """

    def __init__(self, step_seconds: float = 0.0, steps_per_unit: int = 1) -> None:
        self.step_seconds = step_seconds
        known = step_seconds * steps_per_unit
        self.last_units = max(1, int(CALL_SECONDS / 4 / known)) if known else 1

    def units_per_call(self, steps_per_unit: int) -> int:
        """Units of so many steps (single steps, or epochs) that last about `CALL_SECONDS`."""
        fits = 1
        if self.step_seconds:
            fits = max(1, int(CALL_SECONDS / max(self.step_seconds * steps_per_unit, 1e-7)))
        self.last_units = min(fits, GROWTH * self.last_units)
        return self.last_units

    def fits(self, steps: int) -> bool:
        """Whether so many steps are known to last no longer than a call should."""
        return 0 < self.step_seconds * steps <= CALL_SECONDS

    def record(self, seconds: float, steps: int) -> None:
        """Learn from a call."""
        if steps:
            self.step_seconds = seconds / steps
