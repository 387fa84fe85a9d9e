"""Finds a good learning rate: trains for some steps while the rate grows, and looks where the loss falls.

Source: L. N. Smith: Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from trainkit.backend.precision import inner_optimizer
from trainkit.config.fields import Setting
from trainkit.config.validation import check_arguments

__all__ = ["RateFinder", "smoothed", "steepest"]

SMOOTHING = 0.9  # share of the former value in the smoothed loss
DIVERGED = 4.0  # times the smallest smoothed loss, beyond which there is nothing left to see
FIRST = 10  # steps before the training may be called off
ARGUMENTS = {
    "low": Setting("", kind=float, above=0),
    "steps": Setting("", kind=int, at_least=1),
    "batch_rows": Setting("", kind=int, at_least=1),
    "epoch_rows": Setting("", kind=int, at_least=1),
}


class RateFinder(keras.callbacks.Callback):
    """Lets the learning rate grow by one factor per step, from `low` to `high`, and notes the loss of each
    batch; ends the training when the loss has diverged.

    Args:
        low: First rate, above 0.
        high: Last rate, above `low`.
        steps: Steps from one to the other, >= 1.
        batch_rows: Rows of a batch, >= 1.
        epoch_rows: Rows of an epoch, whose last batch may have fewer, >= 1.

    Raises:
        UserError: for an argument that is impossible.

    Attributes:
        rates: The rate of each step.
        losses: The loss of the batch of each step.
    """

    def __init__(self, low: float, high: float, steps: int, batch_rows: int, epoch_rows: int) -> None:
        check_arguments(self, ARGUMENTS, low=low, steps=steps, batch_rows=batch_rows, epoch_rows=epoch_rows)
        check_arguments(self, {"high": Setting("", kind=float, above=low)}, high=high)
        super().__init__()
        self.low = low
        self.factor = (high / low) ** (1 / max(1, steps - 1))
        self.batch_rows = batch_rows
        self.epoch_rows = epoch_rows
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._seen = 0
        self._total = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.rates = []
        self.losses = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._seen = 0
        self._total = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.rates.append(self.low * self.factor ** len(self.rates))
        inner_optimizer(self.model.optimizer).learning_rate = self.rates[-1]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's logs hold the mean over the epoch so far; the loss of the batch is what it adds."""
        rows = min(self.batch_rows, self.epoch_rows - self._seen)
        mean = float((logs or {})["loss"])
        total = mean * (self._seen + rows)
        self.losses.append((total - self._total) / rows)
        self._seen += rows
        self._total = total
        smooth = smoothed(self.losses)
        has_diverged = len(smooth) > FIRST and not smooth[-1] <= DIVERGED * min(smooth)
        if has_diverged or not math.isfinite(mean):
            self.model.stop_training = True


def smoothed(losses: Sequence[float]) -> list[float]:
    """The exponential mean of the losses so far, as if none had come before the first."""
    found: list[float] = []
    mean = 0.0
    for i, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**i))
    return found


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate around which the smoothed loss falls most steeply over the logarithm of the rate.

    The slope is that of a straight line through the smoothed losses around each rate, since the losses of
    single batches are noisy; the first ones are left out, of which the mean is no mean yet.

    Returns:
        The rate, before the lowest point of the curve; None if the loss does not fall.
    """
    smooth = np.array([value for value in smoothed(losses) if math.isfinite(value)])
    around = max(3, len(smooth) // 15)
    lowest = int(smooth.argmin()) if len(smooth) else 0
    places = range(around, lowest - around + 1)
    if not places:
        return None
    logarithms = np.log(np.asarray(rates[: len(smooth)]))
    slopes = []
    for place in places:
        near = slice(place - around, place + around + 1)
        slopes.append(float(np.polyfit(logarithms[near], smooth[near], 1)[0]))
    steepest_one = int(np.argmin(slopes))
    return float(rates[places[steepest_one]]) if slopes[steepest_one] < 0 else None
