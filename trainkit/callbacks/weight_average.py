"""The mean of the weights of the last epochs, which often generalises better than the last weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import keras
import numpy as np

from trainkit.backend.compat import flat_layers
from trainkit.backend.patches import set_attributes
from trainkit.callbacks.observer import Observer
from trainkit.config.fields import Setting
from trainkit.config.validation import check_arguments
from trainkit.core.tree import Structure, leaves, map_leaves

__all__ = ["WeightAverage", "has_batch_statistics", "refresh_batch_statistics"]

ARGUMENTS = {"start": Setting("", kind=int, at_least=1)}


class WeightAverage(Observer):
    """Stochastic weight averaging: a training ends with the mean of the weights after its last epochs.

    `w = (w_start + w_(start+1) + ... + w_last) / n`

    Source: P. Izmailov et al.: Averaging Weights Leads to Wider Optima and Better Generalization,
    arXiv:1803.05407.

    Args:
        start: First epoch that counts, from 1.
        refresh: Called at the end, when the model has its mean weights: computes the statistics of
            BatchNormalization anew, which belong to no single epoch's weights.

    Raises:
        UserError: for a start that is no epoch.

    Attributes:
        count: Epochs in the mean so far.
    """

    state_name = "weight_average"

    def __init__(self, start: int, refresh: Callable[[], None] | None = None) -> None:
        check_arguments(self, ARGUMENTS, start=start)
        super().__init__()
        self.start = start
        self.refresh = refresh
        self.reset()

    def reset(self) -> None:
        """Forget an earlier training."""
        self.count = 0
        self._mean: list[np.ndarray] = []

    def due(self, epoch: int) -> bool:
        return epoch >= self.start

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.start > self.params["epochs"]:
            warnings.warn(
                f"WeightAverage: it begins with epoch {self.start}, and the training has "
                f"{self.params['epochs']}: the last weights stay.",
                stacklevel=2,
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.due(epoch + 1):
            return
        weights = [np.asarray(v, np.float64) for v in self.model.trainable_variables]
        self.count += 1
        before = self._mean or weights
        self._mean = [mean + (new - mean) / self.count for mean, new in zip(before, weights, strict=True)]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.count:
            return
        for variable, mean in zip(self.model.trainable_variables, self._mean, strict=True):
            variable.assign(mean.astype(variable.dtype))
        if self.refresh is not None:
            self.refresh()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: how many epochs are in the mean, and the mean."""
        return {"count": self.count, "mean": list(self._mean)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.count = int(state["count"])
        self._mean = [np.asarray(mean, np.float64) for mean in state["mean"]]


def has_batch_statistics(model: keras.Model) -> bool:
    """Whether the model keeps statistics of its batches."""
    return bool(_normalizations(model))


def refresh_batch_statistics(model: keras.Model, x: Structure, batch: int, batches: int = 100) -> None:
    """Compute the statistics of BatchNormalization anew, as plain means over batches of training rows.

    Args:
        model: With the weights that they are for.
        x: Inputs `[N, ...]`.
        batch: Rows of a batch.
        batches: Batches at the most.
    """
    layers = _normalizations(model)
    momenta = [layer.momentum for layer in layers]
    rows = len(leaves(x)[0])
    try:
        for number in range(min(batches, max(1, rows // batch))):
            for layer in layers:
                set_attributes(layer, {"momentum": number / (number + 1)})
            part = slice(number * batch, (number + 1) * batch)
            model(map_leaves(itemgetter(part), x), training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            set_attributes(layer, {"momentum": momentum})


def _normalizations(model: keras.Model) -> list[Any]:
    return [layer for layer in flat_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
