"""The weights that a training ended with, and why it ended, as its callbacks know."""

from __future__ import annotations

from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.weight_average import WeightAverage
from trainkit.trainer.trainer import Trainer

__all__ = ["average", "early_stop", "last_weights"]


def early_stop(trainer: Trainer) -> str:
    """Why early stopping ended the training, and what it put back; empty if it did not."""
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping) and callback.out_of_patience:
            put_back = callback.restore_best_weights and callback.best_epoch
            weights = f"; the weights of epoch {callback.best_epoch} are put back" if put_back else ""
            return f"early: {callback.monitor} has not improved for {callback.wait} epochs{weights}"
    return ""


def average(trainer: Trainer) -> WeightAverage | None:
    """What averaged the weights that the training ended with."""
    found = [c for c in trainer.callbacks if isinstance(c, WeightAverage) and c.count]
    return found[0] if found else None


def last_weights(trainer: Trainer) -> str:
    """Name of the weights that the training ended with."""
    averaged = average(trainer)
    if averaged is not None:
        return f"average of {averaged.count} epochs, average.keras"
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping) and callback.restore_best_weights and callback.best_epoch:
            return f"last weights, put back to epoch {callback.best_epoch} by early stopping"
    return f"last weights, step {trainer.state.step:,}"
