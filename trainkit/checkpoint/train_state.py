"""What a run is at one moment, in one object, and what its observers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class State:
    """Everything that a checkpoint holds: model, optimizer, metrics, seeds, and the position in the training.

    Build model, optimizer and metrics first: the lists are fixed here. `model.variables` also has the states of the seed
    generators (dropout), which `model.weights` and `.weights.h5` files lack.

    Args:
        model: Compiled model with built optimizer and metrics.

    Attributes:
        epoch: Epochs that are complete.
        step_in_epoch: Optimizer steps done in the epoch that is not.
        step: Optimizer steps in all.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.epoch = 0
        self.step_in_epoch = 0
        self.step = 0
        self.groups: dict[str, list[tf.Variable]] = {}
        self.names: list[str] = []  # of all variables: `model/sequential/dense/kernel`
        seen: set[int] = set()
        for group, variables in (
            ("model", model.variables),
            ("optimizer", model.optimizer.variables),
            ("metrics", model.metrics_variables),
        ):
            fresh = [v for v in variables if id(v) not in seen]
            seen.update(id(v) for v in fresh)
            self.groups[group] = [v.value for v in fresh]
            self.names += [f"{group}/{v.path}" for v in fresh]

    @property
    def variables(self) -> list[tf.Variable]:
        return [v for group in self.groups.values() for v in group]

    @property
    def nbytes(self) -> int:
        """Bytes that the variables take on one device."""
        return sum(int(np.prod(v.shape)) * v.dtype.size for v in self.variables)

    def position(self) -> dict[str, int]:
        return {"epoch": self.epoch, "step_in_epoch": self.step_in_epoch, "step": self.step}

    def seek(self, position: Mapping[str, int]) -> None:
        self.epoch, self.step_in_epoch, self.step = (
            int(position[k]) for k in ("epoch", "step_in_epoch", "step")
        )

    def finish(self) -> None:
        """Make the average weights the weights, where the optimizer keeps an average, as `model.fit` does at its end."""
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)

    def values(self) -> list[np.ndarray]:
        """Host copies of all variables, in the order of `variables`."""
        return [v.numpy() for v in self.variables]

    def assign(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
