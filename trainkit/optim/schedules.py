"""Learning rates as functions of the step: those that Keras lacks, and the one that a config asks for."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import keras

from trainkit.config import ScheduleConfig

__all__ = ["Constant", "Cyclical", "OneCycle", "WarmUp", "schedule"]

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("trainkit")
class Constant(Schedule):
    """The same learning rate at every step: what a warm-up ends in if nothing else is asked for.

    Args:
        learning_rate: The rate, above 0.
    """

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate

    def __call__(self, step: Any) -> Any:
        return keras.ops.full_like(keras.ops.cast(step, "float32"), self.learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate}


@keras.saving.register_keras_serializable("trainkit")
class WarmUp(Schedule):
    """Linear growth over the first `steps` steps, then another schedule.

    `rate(s) = after(0) * (s + 1) / (steps + 1)` for `s < steps`, so that the first step already learns; then
    `after(s - steps)`.

    Args:
        steps: Steps of the warm-up.
        after: The schedule that follows; its step 0 is the first step after the warm-up.
    """

    def __init__(self, steps: int, after: Schedule) -> None:
        super().__init__()
        self.steps = steps
        self.after = after

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        share = keras.ops.minimum((step + 1.0) / (self.steps + 1.0), 1.0)
        return share * self.after(keras.ops.maximum(step - self.steps, 0.0))

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps, "after": keras.saving.serialize_keras_object(self.after)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        return cls(config["steps"], keras.saving.deserialize_keras_object(config["after"]))


@keras.saving.register_keras_serializable("trainkit")
class OneCycle(Schedule):
    """One cycle: up to `max_rate`, then far down, both along half a cosine.

    From `max_rate / start_divisor` up to `max_rate` in the first `rise` of the steps, then down to
    `max_rate / (start_divisor * end_divisor)` at the last one, where it stays.

    Source: L. N. Smith, N. Topin: Super-Convergence, arXiv:1708.07120, in the form and with the defaults of
    PyTorch's `OneCycleLR`.

    Args:
        max_rate: The highest learning rate.
        steps: Steps of the whole cycle, at least 1.
        rise: Share of the steps that rise, above 0 and below 1.
        start_divisor: `max_rate` over the first rate.
        end_divisor: The first rate over the last.
    """

    def __init__(
        self,
        max_rate: float,
        steps: int,
        rise: float = 0.3,
        start_divisor: float = 25.0,
        end_divisor: float = 1e4,
    ) -> None:
        super().__init__()
        self.max_rate = max_rate
        self.steps = steps
        self.rise = rise
        self.start_divisor = start_divisor
        self.end_divisor = end_divisor

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        first = self.max_rate / self.start_divisor
        last = first / self.end_divisor
        top = max(self.rise * self.steps - 1.0, 0.0)  # the step with the highest rate
        end = self.steps - 1.0
        rising = _cosine(first, self.max_rate, step / (top or 1.0))
        falling = _cosine(self.max_rate, last, (step - top) / (end - top or 1.0))
        return keras.ops.where(step < top, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "max_rate": self.max_rate,
            "steps": self.steps,
            "rise": self.rise,
            "start_divisor": self.start_divisor,
            "end_divisor": self.end_divisor,
        }


@keras.saving.register_keras_serializable("trainkit")
class Cyclical(Schedule):
    """A repeated triangle: up from `min_rate` to `max_rate` in `half_cycle` steps, and down in as many.

    `rate(s) = min_rate + (max_rate - min_rate) * decay ** (c - 1) * height(s)`, where `c` is the number of
    the cycle, from 1, and `height(s) = max(0, 1 - |s / half_cycle - 2 * c + 1|)`.

    Source: L. N. Smith: Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186: `triangular`
    for `decay=1`, `triangular2` for `decay=0.5`.

    Args:
        min_rate: The lowest learning rate.
        max_rate: The highest learning rate of the first cycle.
        half_cycle: Steps from the lowest to the highest rate, at least 1.
        decay: Factor of the height per cycle, above 0.
    """

    def __init__(self, min_rate: float, max_rate: float, half_cycle: int, decay: float = 1.0) -> None:
        super().__init__()
        self.min_rate = min_rate
        self.max_rate = max_rate
        self.half_cycle = half_cycle
        self.decay = decay

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        cycle = keras.ops.floor(1.0 + step / (2.0 * self.half_cycle))
        distance = keras.ops.absolute(step / self.half_cycle - 2.0 * cycle + 1.0)
        height = keras.ops.maximum(0.0, 1.0 - distance) * keras.ops.power(self.decay, cycle - 1.0)
        return self.min_rate + (self.max_rate - self.min_rate) * height

    def get_config(self) -> dict[str, Any]:
        return {
            "min_rate": self.min_rate,
            "max_rate": self.max_rate,
            "half_cycle": self.half_cycle,
            "decay": self.decay,
        }


def schedule(config: ScheduleConfig, start: float | Schedule, total_steps: int) -> Schedule:
    """The learning rate as a function of the step: a warm-up if asked for, then what `config.name` says.

    Args:
        config: Settings.
        start: The rate that decays, for `one_cycle` and `cyclical` the highest; for `constant` also a
            schedule, which then follows the warm-up.
        total_steps: Optimizer steps of the whole training.
    """
    remaining = max(1, total_steps - config.warmup_steps)
    after = Constant(start) if isinstance(start, float) else start
    if config.name != "constant":
        after = _decay(config, start, remaining)
    return WarmUp(config.warmup_steps, after) if config.warmup_steps else after


def _decay(config: ScheduleConfig, start: Any, remaining: int) -> Schedule:
    """The schedule after the warm-up, which has `remaining` steps."""
    schedules = keras.optimizers.schedules
    steps = config.decay_steps or remaining
    if config.name == "cosine":
        return schedules.CosineDecay(start, steps, alpha=config.final)
    if config.name == "polynomial":
        return schedules.PolynomialDecay(start, steps, start * config.final, config.power)
    if config.name == "piecewise":
        rates = [start * config.decay_rate**i for i in range(len(config.boundaries) + 1)]
        return schedules.PiecewiseConstantDecay(list(config.boundaries), rates)
    if config.name == "one_cycle":
        return OneCycle(start, steps, config.rise)
    if config.name == "cyclical":
        half_cycle = config.decay_steps or max(1, remaining // 2)
        return Cyclical(start * config.final, start, half_cycle, config.decay_rate)
    return schedules.ExponentialDecay(start, steps, config.decay_rate, staircase=config.name == "step")


def _cosine(start: float, end: float, share: Any) -> Any:
    """From `start` at share 0 to `end` at share 1 along half a cosine; `end` from there on."""
    share = keras.ops.clip(share, 0.0, 1.0)
    return end + (start - end) / 2.0 * (1.0 + keras.ops.cos(math.pi * share))
