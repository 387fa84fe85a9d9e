"""What Keras's own callbacks leave in a model or keep for themselves: Keras keeps that private."""

from __future__ import annotations

import keras

__all__ = ["end_with_average", "forget_initial_epoch", "initial_epoch"]


def initial_epoch(model: keras.Model) -> int | None:
    """The epoch that `BackupAndRestore` asks the training to begin with, or None."""
    return getattr(model, "_initial_epoch", None)


def forget_initial_epoch(model: keras.Model) -> None:
    """Begin the next training with its first epoch: Keras keeps what an earlier backup asked for."""
    model._initial_epoch = None


def end_with_average(callback: keras.callbacks.SwapEMAWeights) -> None:
    """Keep the average that is in the weights, for good, as the callback does after the last epoch."""
    callback._finalize_ema_values()
