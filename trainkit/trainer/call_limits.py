"""Where the next call of the program must end: at a checkpoint, at a step that is sought, or at the last."""

from __future__ import annotations

from trainkit.callbacks.callback_list import CallbackList
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.step_guard import StepGuard

__all__ = ["NO_LIMIT", "CallLimits"]

NO_LIMIT = 1 << 60


class CallLimits:
    """What bounds a call, besides its pacing.

    Args:
        setup: The task made ready.
        callbacks: What they want to see or save.
        guard: May be looking for a step that is not finite.
    """

    def __init__(self, setup: TrainSetup, callbacks: CallbackList, guard: StepGuard) -> None:
        self.setup = setup
        self.state = setup.state
        self.callbacks = callbacks
        self.guard = guard

    def steps_left(self) -> int:
        """Steps until `trainer.steps`; a large number without it."""
        most = self.setup.config.steps
        return NO_LIMIT if most is None else max(0, most - self.state.step)

    def within_epoch(self) -> bool:
        """Whether a call must end before the epoch does."""
        rest = self.setup.shape.steps - self.state.step_in_epoch
        return self.guard.by_steps or self.callbacks.steps_until_due(self.state.step) < rest

    def epochs(self, first: int, count: int) -> int:
        """Epochs from `first` on (0-based) until an observer wants the model, at most `count`."""
        due = [e - first for e in range(first + 1, first + count) if self.callbacks.due(e)]
        ahead = self.state.step_in_epoch + self.callbacks.steps_until_due(self.state.step)
        return min([count, ahead // self.setup.shape.steps, *due])

    def stop(self, epoch: int, start: int, stop: int) -> int:
        """The step at which a call must end that begins with `start`, at most `stop`."""
        due = start + self.callbacks.steps_until_due(self.state.step)
        return self.guard.stop(epoch, start, min(stop, due, start + self.steps_left()))
