"""Event files for TensorBoard: curves, settings, hyper-parameters, the graph, and on demand histograms and a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


class Profile(keras.callbacks.Callback):
    """A trace of the second epoch for TensorBoard's Profile tab. No observer: it needs the host between epochs.

    Args:
        folder: Folder of the event files.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__()
        self.folder = str(folder)
        self._running = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == self.params["initial_epoch"] + min(1, self.params["epochs"] - 1):
            tf.profiler.experimental.start(self.folder)
            self._running = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.on_train_end()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
