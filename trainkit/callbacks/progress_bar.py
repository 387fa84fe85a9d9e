"""Keras's progress bar, told a few times per second in place of at every batch."""

from __future__ import annotations

import keras

from trainkit.callbacks.observer import Observer

__all__ = ["ProgressBar"]


class ProgressBar(keras.callbacks.ProgbarLogger, Observer):
    """The bar of `model.fit`. It only reads, so it does not force a host read per batch."""
