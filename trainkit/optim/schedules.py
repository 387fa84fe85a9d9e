"""One Keras optimizer from one config, the same for our loop and for `model.fit`."""

from __future__ import annotations

from typing import Any

import keras

from trainkit.config.schema import ScheduleConfig


@keras.saving.register_keras_serializable("trainkit")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear growth from 0 over `steps` steps, then `after(step - steps)`.

    `rate(s) = after(0) * (s + 1) / (steps + 1)` for `s < steps`, so that the first step already learns.
    """

    def __init__(self, steps: int, after: keras.optimizers.schedules.LearningRateSchedule) -> None:
        super().__init__()
        self.steps, self.after = steps, after

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        share = keras.ops.minimum((step + 1.0) / (self.steps + 1.0), 1.0)
        return share * self.after(keras.ops.maximum(step - self.steps, 0.0))

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps, "after": keras.saving.serialize_keras_object(self.after)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        return cls(config["steps"], keras.saving.deserialize_keras_object(config["after"]))


def schedule(
    config: ScheduleConfig, rate: float, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate as a function of the step: warm-up, then constant, cosine, step or exponential decay from `rate`."""
    schedules = keras.optimizers.schedules
    left = max(1, total_steps - config.warmup_steps)
    steps = config.decay_steps or left
    if config.name == "cosine":
        after = schedules.CosineDecay(rate, steps, alpha=config.final)
    elif config.name in ("step", "exponential"):
        after = schedules.ExponentialDecay(rate, steps, config.decay_rate, staircase=config.name == "step")
    else:
        after = schedules.ExponentialDecay(rate, 1, 1.0)
    return WarmUp(config.warmup_steps, after) if config.warmup_steps else after
