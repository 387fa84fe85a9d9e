"""Ends a float16 training whose gradients are not finite for many steps in a row."""

from __future__ import annotations

from trainkit.core.errors import UserError
from trainkit.core.logs import EpochLogs

__all__ = ["SkippedSteps"]


class SkippedSteps:
    """Watches how many steps moved the weights.

    A call says how many of its steps moved the weights, not which: `s` skipped steps among `k` updates leave
    a row of at least `s // (k + 1)` skipped ones.

    Args:
        limit: Skipped steps in a row that are an error.
        updates: Updates that the optimizer has made so far.
        step: Optimizer steps so far.
    """

    def __init__(self, limit: int, updates: int, step: int) -> None:
        self.limit = limit
        self.applied_updates = updates
        self.step = step

    def check(self, logs: EpochLogs, step: int) -> None:
        """Look at the logs of a call that ended at optimizer step `step`.

        Raises:
            UserError: if too many steps in a row were skipped.
        """
        if logs.applied_updates is None:
            return
        updates = logs.applied_updates - self.applied_updates
        steps = step - self.step
        in_a_row = (steps - updates) // (updates + 1)
        if in_a_row >= self.limit:
            raise UserError(
                f"{in_a_row} steps in a row had gradients that are not finite, at loss scale "
                f"{logs.loss_scale:g}. "
                "Lower optimizer.learning_rate, clip gradients (optimizer.clip.global_norm=1), or use "
                "trainer.precision=mixed_bfloat16."
            )
        if updates:
            self.applied_updates += updates
            self.step = step
