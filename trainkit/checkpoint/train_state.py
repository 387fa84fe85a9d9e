"""Everything that a checkpoint holds of a training, in one object."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.checkpoint.replica_parts import ReplicaParts

__all__ = ["POSITION", "SWAPPED", "TrainState", "all_finite"]

# Attribute of Keras's `SwapEMAWeights`: whether the average is in the weights, which it keeps meanwhile.
SWAPPED = "_ema_weights_in_model"
POSITION = ("epoch", "step_in_epoch", "step")


class TrainState:
    """Model, optimizer, metrics, random states and the position of a training.

    Build model, optimizer and metrics first: the lists of variables are fixed here. Besides what Keras lists,
    they hold the states of seed generators (dropout), which `model.weights` and `.weights.h5` files lack, and
    variables that Keras does not list at all (the state of a stateful RNN, a `tf.Variable` in a layer).

    Args:
        model: Compiled model with built optimizer and metrics.
        unlisted: Variables of the model that Keras does not list.

    Attributes:
        epoch: Epochs that are complete.
        step_in_epoch: Optimizer steps done in the epoch that is not complete.
        step: Optimizer steps in all.
        skipped: Steps among them that were left out, since they were not finite.
        idle: Whether all steps were left out of the epoch so far, or of the last one if that is complete.
        swapped: Whether the weights are the average already, as `SwapEMAWeights` leaves them between epochs.
        groups: The variables by where they belong: `model`, `optimizer`, `metrics`.
        names: Name of each variable, in order: `model/sequential/dense/kernel`.
        parts: What each replica holds for itself of some of them.
    """

    def __init__(self, model: keras.Model, unlisted: Sequence[Any] = ()) -> None:
        self.model = model
        self.epoch = 0
        self.step_in_epoch = 0
        self.step = 0
        self.skipped = 0
        self.idle = False
        self.swapped = False
        self.groups: dict[str, list[tf.Variable]] = {}
        self.names: list[str] = []
        self._unlisted = list(unlisted)
        self._averaged: tuple[list[np.ndarray], list[np.ndarray]] | None = None
        self.relist()

    def relist(self) -> None:
        """List the variables: once more after an optimizer was built."""
        model = self.model
        self.groups = {}
        self.names = []
        optimizer = [] if model.optimizer is None else model.optimizer.variables
        listed = {
            "model": [*model.variables, *self._unlisted],
            "optimizer": optimizer,
            "metrics": model.metrics_variables,
        }
        seen: set[int] = set()
        for group, variables in listed.items():
            self.groups[group] = []
            for variable in variables:
                value = variable.value if isinstance(variable, keras.Variable) else variable
                if id(value) in seen:
                    continue
                seen.add(id(value))
                self.groups[group].append(value)
                self.names.append(f"{group}/{_path(variable)}")
        self.parts = ReplicaParts(self.names, self.variables)

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, group after group."""
        return [variable for group in self.groups.values() for variable in group]

    @property
    def nbytes(self) -> int:
        """Bytes that the variables take on one device."""
        return sum(int(np.prod(v.shape)) * v.dtype.size for v in self.variables)

    def position(self) -> dict[str, int]:
        """Where the training stands."""
        return {name: getattr(self, name) for name in POSITION}

    def seek(self, position: Mapping[str, int]) -> None:
        """Put the training at a position that `position` returned."""
        for name in POSITION:
            setattr(self, name, int(position[name]))

    @property
    def trainable(self) -> list[int]:
        """Places of the weights that are trained among all variables."""
        trained = {id(v.value) for v in self.model.trainable_variables}
        return [i for i, variable in enumerate(self.variables) if id(variable) in trained]

    def is_finite(self) -> bool:
        """Whether all weights that are trained are finite."""
        variables = self.variables
        return all_finite([variables[i] for i in self.trainable])

    def finalize(self) -> None:
        """Make the average weights the weights, if the optimizer keeps an average, as `model.fit` does when
        it ends."""
        optimizer = self.model.optimizer
        if optimizer is None or self.swapped:
            return
        averages = getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False)
        trained = self._trained() if averages else []
        optimizer.finalize_variable_values(self.model.trainable_variables)
        self._averaged = (trained, self._trained()) if trained else None

    def resumable(self) -> list[np.ndarray] | None:
        """`values`, with the weights that a training goes on from in place of their averages; None: the
        weights are no averages."""
        if self._averaged is None:
            return None
        before, averages = self._averaged
        if not all(np.array_equal(a, b) for a, b in zip(self._trained(), averages, strict=True)):
            return None
        values = self.values()
        for place, weights in zip(self.trainable, before, strict=True):
            values[place] = weights
        return values

    def _trained(self) -> list[np.ndarray]:
        variables = self.variables
        return [variables[place].numpy() for place in self.trainable]

    @contextmanager
    def lent(self) -> Iterator[None]:
        """After the block, whatever it did, the state is as it was."""
        values, parts, position = self.values(), self.parts.read(), self.position()
        others = (self.skipped, self.idle, self.swapped, self._averaged)
        try:
            yield
        finally:
            self.assign(values)
            self.parts.assign(parts)
            self.seek(position)
            self.skipped, self.idle, self.swapped, self._averaged = others

    def values(self) -> list[np.ndarray]:
        """Host copies of all variables, in the order of `variables`."""
        return [v.numpy() for v in self.variables]

    def assign(self, values: Sequence[Any]) -> None:
        """Set all variables, in the order of `variables`."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


def all_finite(variables: Sequence[tf.Variable]) -> bool:
    """Whether no variable holds NaN or an infinity."""
    for variable in variables:
        if not variable.dtype.is_floating:
            continue
        total = float(tf.reduce_sum(variable))  # quicker than a look at each number; it may overflow
        if not math.isfinite(total) and not bool(tf.reduce_all(tf.math.is_finite(variable))):
            return False
    return True


def _path(variable: Any) -> str:
    """The name of a variable within its model: `sequential/dense/kernel`."""
    return str(variable.path if isinstance(variable, keras.Variable) else variable.name.partition(":")[0])
