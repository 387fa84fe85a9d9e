"""Callbacks that write down how they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

__all__ = ["BatchRecorder", "EpochRecorder", "optimizers_of", "slots_of"]

Note = Callable[[str, Any], None]


def optimizers_of(optimizer: Any) -> list[keras.optimizers.Optimizer]:
    """`optimizer` and, where it wraps others, those inside it."""
    if optimizer is None:
        return []
    inner = getattr(optimizer, "inner_optimizer", None)
    parts = [inner] if inner is not None else list(getattr(optimizer, "optimizers", []))
    return [optimizer, *(found for part in parts for found in optimizers_of(part))]


def slots_of(optimizer: Any, counted: bool) -> list[Any]:
    """The variables of `optimizer`; without its count of steps unless `counted`."""
    return [v for v in optimizer.variables if counted or not v.path.endswith("iteration")]


def digest(model: keras.Model, counted: bool) -> str:
    """A hash of all variables of the model and its optimizers."""
    hashed = hashlib.blake2b(digest_size=8)
    variables = list(model.variables)
    for optimizer in optimizers_of(model.optimizer):
        variables += slots_of(optimizer, counted)
    for variable in variables:
        hashed.update(np.asarray(variable).tobytes())
    return hashed.hexdigest()


def state(model: keras.Model, *, weights: bool, counted: bool) -> dict[str, Any]:
    """What a callback can read on its model; with `weights`, a hash of all variables too."""
    optimizers = optimizers_of(model.optimizer)
    seen: dict[str, Any] = {"stop_training": model.stop_training}
    if counted:
        seen["iterations"] = [int(optimizer.iterations) for optimizer in optimizers]
    plain = [optimizer for optimizer in optimizers if not hasattr(optimizer, "optimizers")]
    seen["learning_rate"] = [float(np.asarray(optimizer.learning_rate)) for optimizer in plain]
    if weights:
        seen["digest"] = digest(model, counted)
    return seen


class EpochRecorder(keras.callbacks.Callback):
    """Notes the hooks of the training and its epochs, so that a loop may run an epoch in one go."""

    def __init__(self, note: Note, counted: bool = True) -> None:
        super().__init__()
        self._note = note
        self._counted = counted

    def called(self, hook: str, index: int | None, logs: Any) -> None:
        # No hash at a beginning: when an unbuilt model is built is the loop's own affair.
        now = state(self.model, weights=hook.endswith("_end"), counted=self._counted)
        copied = None if logs is None else dict(logs)
        self._note(hook, {"index": index, "logs": copied, "state": now})

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self._note("set_params", dict(params))

    def on_train_begin(self, logs: Any = None) -> None:
        self.called("on_train_begin", None, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.called("on_train_end", None, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.called("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.called("on_epoch_end", epoch, logs)


class BatchRecorder(EpochRecorder):
    """Notes every hook that `fit` calls."""

    def on_test_begin(self, logs: Any = None) -> None:
        self.called("on_test_begin", None, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.called("on_test_end", None, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.called("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.called("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.called("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.called("on_test_batch_end", batch, logs)
