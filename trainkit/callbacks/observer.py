"""The callback that only reads: what lets many epochs run in one call of the compiled program."""

from __future__ import annotations

import keras

from trainkit.core.run_info import EpochRecord, RunInfo

__all__ = ["Observer"]


class Observer(keras.callbacks.Callback):
    """A callback that only reads `logs`, and neither the model nor the optimizer.

    The trainer may run many epochs in one call and report them to an observer afterwards, in order; the model
    then already has later weights. `on_train_batch_end` of an observer is called a few times per
    second at most.

    Attributes:
        run: The facts of the training; set before `on_train_begin`.
        record: Position, speed and rates of the epoch that has just ended; set before `on_epoch_end`.
    """

    run: RunInfo
    record: EpochRecord

    def on_failure(self) -> None:
        """The training ends by an error, which follows: give back what others need, such as the terminal."""

    def due(self, epoch: int) -> bool:
        """Whether a call of several epochs must end with `epoch` (1-based), because this observer wants the
        model as it is then."""
        return False

    def next_step(self, step: int) -> int | None:
        """The first optimizer step after `step` with which a call must end; None: there is none."""
        return None
