"""Settings that cannot be, found before anything is created or loaded: one clear line each."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from typing import Any

from trainkit.config.schema import (
    ENGINES,
    EXECUTIONS,
    FEEDS,
    MODES,
    PRECISIONS,
    PROGRESS,
    SCHEDULES,
    STRATEGIES,
    Config,
)
from trainkit.core.errors import UserError, did_you_mean

DIRECTIONS = ("auto", "min", "max")


CHOICES: dict[str, Sequence[str]] = {
    "mode": MODES,
    "progress": PROGRESS,
    "trainer.precision": PRECISIONS,
    "trainer.strategy": STRATEGIES,
    "trainer.execution": EXECUTIONS,
    "trainer.engine": ENGINES,
    "trainer.feed": FEEDS,
    "optimizer.schedule.name": SCHEDULES,
    "optimizer.clip.scope": ("global", "replica"),
    "checkpoint.mode": DIRECTIONS,
    "callbacks.early_stopping.mode": DIRECTIONS,
    "predict.split": ("train", "validation", "test"),
}


AT_LEAST: dict[str, int] = {
    "trainer.epochs": 1,
    "trainer.steps": 1,
    "trainer.batch_size": 1,
    "trainer.accumulate": 1,
    "trainer.replicas": 1,
    "trainer.epochs_per_call": 1,
    "trainer.limit_train_batches": 1,
    "trainer.validate_every": 1,
    "trainer.max_skipped_steps": 1,
    "trainer.seed": 0,
    "optimizer.weight_decay": 0,
    "optimizer.schedule.warmup_steps": 0,
    "optimizer.schedule.decay_steps": 1,
    "optimizer.ema.overwrite_every": 1,
    "data.seed": 0,
    "data.train_rows": 1,
    "checkpoint.every_epochs": 1,
    "checkpoint.keep": 1,
    "callbacks.early_stopping.patience": 1,
    "callbacks.early_stopping.min_delta": 0,
    "callbacks.tensorboard.histograms_every": 1,
    "predict.show": 0,
    "parity.epochs": 1,
    "parity.steps": 1,
    "parity.replicas": 1,
    "parity.workers": 1,
}


POSITIVE = (
    "trainer.heartbeat_seconds",
    "optimizer.learning_rate",
    "optimizer.schedule.decay_rate",
    "optimizer.clip.norm",
    "optimizer.clip.global_norm",
    "optimizer.clip.value",
)


SHARES = ("data.validation", "optimizer.ema.momentum")  # in [0, 1)


SEEDS = ("trainer.seed", "data.seed")  # NumPy's and TensorFlow's take 32 bits


def validate(config: Config) -> None:
    """Check every setting that can be judged without TensorFlow and without the data.

    Raises:
        UserError: for the first value that is impossible: what came, what was expected, the nearest valid name.
    """
    for key, known in CHOICES.items():
        value = get(config, key)
        if value not in known:
            raise UserError(f"{key}={value}: unknown; {did_you_mean(str(value), known)}")
    for key, least in AT_LEAST.items():
        value = get(config, key)
        if value is not None and not (least <= value < math.inf):
            raise UserError(
                f"{key}={value}: expected {'a number' if isinstance(value, float) else 'a whole number'} of at least {least}."
            )
    for key in POSITIVE:
        value = get(config, key)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{key}={value}: expected a number greater than 0.")
    for key in SHARES:
        value = get(config, key)
        if not 0 <= value < 1:
            raise UserError(f"{key}={value}: expected a number from 0 to less than 1.")
    for key in SEEDS:
        if get(config, key) >= 2**32:
            raise UserError(f"{key}={get(config, key)}: expected a whole number below {2**32}.")
    if not re.fullmatch(r"\w[\w.-]*", config.name):
        raise UserError(f"name={config.name}: expected a folder's name of letters, digits, '-', '_' and '.'.")
    _together(config)


def _together(config: Config) -> None:
    """Settings that contradict each other, or are text with a grammar of its own."""
    clip = [
        f"optimizer.clip.{k}"
        for k in ("norm", "global_norm", "value")
        if getattr(config.optimizer.clip, k) is not None
    ]
    if len(clip) > 1:
        raise UserError(
            f"{' and '.join(clip)} are both set; an optimizer clips in one way. Set the other to null."
        )
    if not 0 <= config.optimizer.schedule.final <= 1:
        raise UserError(
            f"optimizer.schedule.final={config.optimizer.schedule.final}: expected a share of the first learning rate, from 0 to 1."
        )
    if any(i < 0 for i in config.trainer.devices or []):
        raise UserError(f"trainer.devices={config.trainer.devices}: expected GPU numbers from 0.")
    if config.parity.tolerance not in ("auto", "exact"):
        try:
            bound = float(config.parity.tolerance)
        except ValueError:
            bound = -1.0
        if not 0 <= bound < math.inf:
            raise UserError(
                f"parity.tolerance={config.parity.tolerance}: expected auto, exact, or a number of at least 0."
            )
    try:
        fields = {
            name.split(".")[0].split("[")[0]
            for _, name, _, _ in string.Formatter().parse(config.checkpoint.pattern)
            if name is not None
        }
    except ValueError as error:
        raise UserError(
            f"checkpoint.pattern={config.checkpoint.pattern}: {error}; expected a file name such as epoch-{{epoch:04d}}."
        ) from error
    if not fields & {"epoch", "step"} or "/" in config.checkpoint.pattern:
        raise UserError(
            f"checkpoint.pattern={config.checkpoint.pattern}: expected a file name with {{epoch}} or {{step}}, such as epoch-{{epoch:04d}}."
        )


def get(config: Any, key: str) -> Any:
    """The value of a dotted key: `get(config, "trainer.epochs")`."""
    for part in key.split("."):
        config = getattr(config, part)
    return config
