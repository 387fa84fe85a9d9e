"""Settings of the `optimizer` group: update rule, learning rate schedule, clipping, weight averaging."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainkit.config.fields import setting
from trainkit.core.errors import UserError

__all__ = ["OPTIMIZERS", "SCHEDULES", "ClipConfig", "EmaConfig", "OptimizerConfig", "ScheduleConfig"]

OPTIMIZERS = (
    "recipe",
    "sgd",
    "momentum",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adam",
    "adamw",
    "adamax",
    "nadam",
    "ftrl",
    "lion",
    "lamb",
)
SCHEDULES = (
    "constant",
    "cosine",
    "step",
    "exponential",
    "polynomial",
    "piecewise",
    "one_cycle",
    "cyclical",
)
SCOPES = ("global", "replica")


@dataclass
class ScheduleConfig:
    """Learning rate over steps: linear warm-up from 0, then a schedule."""

    name: str = setting("constant", "decay after the warm-up", choices=SCHEDULES)
    warmup_steps: int = setting(0, "steps of linear warm-up from 0", at_least=0)
    decay_steps: int | None = setting(
        None,
        "length of the decay or cycle, for cyclical of half one; null: all remaining steps",
        at_least=1,
    )
    decay_rate: float = setting(
        0.5,
        "factor per `decay_steps` (step, exponential), boundary (piecewise) or cycle (cyclical)",
        above=0,
    )
    final: float = setting(
        0.0,
        "cosine, polynomial: last rate as a fraction of the first; cyclical: lowest of the highest",
        at_least=0,
        at_most=1,
    )
    power: float = setting(1.0, "polynomial: exponent; 1 is a straight line", above=0)
    boundaries: list[int] = setting(
        [], "piecewise: steps after which the rate falls, ascending", at_least=1, example="[100,200]"
    )
    rise: float = setting(0.3, "one_cycle: fraction of the steps in which the rate rises", above=0, below=1)

    def check(self, prefix: str) -> None:
        """Refuse a piecewise schedule without steps, or with steps that do not ascend.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        steps = self.boundaries
        if self.name == "piecewise" and (not steps or sorted(set(steps)) != list(steps)):
            raise UserError(
                f"{prefix}boundaries={list(steps)}: name=piecewise expects ascending steps, such as "
                "[1000,2000]."
            )


@dataclass
class ClipConfig:
    """Gradient clipping; at most one of norm, global_norm and value."""

    norm: float | None = setting(None, "clip each variable's gradient to this L2 norm", above=0)
    global_norm: float | None = setting(None, "clip all gradients together to this L2 norm", above=0)
    value: float | None = setting(None, "clip each gradient entry to [-value, value]", above=0)
    scope: str = setting(
        "global", "clip the reduced gradient, or each replica's as Keras does", choices=SCOPES
    )

    def check(self, prefix: str) -> None:
        """Refuse two ways of clipping at once.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        given = [name for name in ("norm", "global_norm", "value") if getattr(self, name) is not None]
        if len(given) > 1:
            keys = " and ".join(prefix + name for name in given)
            raise UserError(
                f"{keys} are set together; an optimizer clips in one way. Set all but one to null."
            )


@dataclass
class EmaConfig:
    """Exponential moving average of the weights, which replaces them when training ends."""

    enabled: bool = setting(False, "keep a moving average of the weights")
    momentum: float = setting(0.99, "decay of the average per step", at_least=0, below=1)
    overwrite_every: int | None = setting(
        None, "steps between copies of the average into the weights; null: at the end only", at_least=1
    )


@dataclass
class OptimizerConfig:
    """Update rule and learning rate; null keeps the value of the recipe, or Keras's default."""

    name: str = setting("recipe", "Keras optimizer; recipe: the task's own", choices=OPTIMIZERS)
    learning_rate: float | None = setting(None, "learning rate at the start of the schedule", above=0)
    weight_decay: float | None = setting(None, "decoupled weight decay", at_least=0)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    options: dict[str, Any] = setting({}, "arguments of the Keras optimizer, such as {beta_1: 0.9}")
