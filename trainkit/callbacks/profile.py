"""Traces one epoch for TensorBoard's Profile tab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Profile"]


class Profile(keras.callbacks.Callback):
    """Traces the second epoch of a process, in which nothing is compiled any more, or the only one.

    It is no observer: the host must see each epoch begin and end.

    Args:
        folder: Folder of the event files.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__()
        self.folder = str(folder)
        self._begun = 0
        self._running = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._stop()  # of a training that failed
        self._begun = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._begun += 1
        is_only_one = self._begun == 1 and epoch + 1 == self.params["epochs"]
        if self._begun == 2 or is_only_one:
            tf.profiler.experimental.start(self.folder)
            self._running = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
