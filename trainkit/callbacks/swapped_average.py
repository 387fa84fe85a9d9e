"""Keras's `SwapEMAWeights` in a training that is saved: what it swaps in is swapped out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from trainkit.backend.compat.callbacks import end_with_average
from trainkit.backend.patches import set_attributes
from trainkit.checkpoint.train_state import SWAPPED, TrainState

__all__ = ["SwappedAverages"]


class SwappedAverages:
    """The callbacks of a training that swap the average weights in after each epoch.

    After the last epoch Keras's callback writes the average over the weights that are trained. A checkpoint
    of that could not be trained on, so here it happens once the last checkpoint is saved.

    Args:
        callbacks: All callbacks of the training.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        found = [c for c in callbacks if isinstance(c, keras.callbacks.SwapEMAWeights)]
        self.callbacks = [c for c in found if c.swap_on_epoch]
        self._epochs: int | None = None  # of a training that is saved

    def reset(self) -> None:
        """Forget an earlier training: the weights are those of a start."""
        for callback in self.callbacks:
            set_attributes(callback, {SWAPPED: False})

    def delay(self, params: Mapping[str, Any]) -> None:
        """Keep both kinds of weights until `finish`; `params` are those of all callbacks, if it is saved."""
        self._epochs = params.get("epochs")
        for callback in self.callbacks if params else ():
            callback.set_params({**params, "epochs": 0})  # it knows the last epoch by its number

    def go_on(self, state: TrainState) -> None:
        """Swap the average out where a training goes on in the middle of an epoch, which has no beginning."""
        for callback in self.callbacks:
            if state.step_in_epoch:
                callback.on_epoch_begin(state.epoch)

    def finish(self, state: TrainState) -> None:
        """End with the average, if the last epoch has ended."""
        begun = state.epoch + (1 if state.step_in_epoch else 0)
        if self._epochs is None or begun < self._epochs:
            return
        for callback in self.callbacks:
            if getattr(callback, SWAPPED):
                end_with_average(callback)
