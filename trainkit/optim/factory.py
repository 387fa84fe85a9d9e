"""The optimizer of a training: the user's own object, changed only where a setting asks for it."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat.optimizer_variables import copy_weight_decay_exclusions
from trainkit.backend.patches import inner_optimizers
from trainkit.config import OptimizerConfig
from trainkit.core.errors import UserError, did_you_mean, one_line
from trainkit.optim.schedules import schedule

__all__ = ["NAMES", "PRESETS", "GivenOptimizer", "build", "in_scope"]

Optimizer: TypeAlias = keras.optimizers.Optimizer
# What a trainer takes: settings, an optimizer, or its name or Keras's config of it; None: the task's own.
GivenOptimizer: TypeAlias = OptimizerConfig | Optimizer | str | dict[str, Any] | None

# The command's names for Keras's classes.
NAMES: dict[str, type[Any]] = {
    "sgd": keras.optimizers.SGD,
    "momentum": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "adamax": keras.optimizers.Adamax,
    "nadam": keras.optimizers.Nadam,
    "ftrl": keras.optimizers.Ftrl,
    "lion": keras.optimizers.Lion,
    "lamb": keras.optimizers.Lamb,
}

# Arguments that a name stands for, besides its class.
PRESETS: dict[str, dict[str, Any]] = {"momentum": {"momentum": 0.9}}

CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


def build(config: OptimizerConfig, recipe: Optimizer, total_steps: int) -> Optimizer:
    """The optimizer that `config` asks for.

    With `name=recipe` and no setting that changes anything it is `recipe` itself. Where a setting changes
    something, the recipe is built again from its config, and keeps its own learning-rate schedule and what it
    excludes from weight decay.

    Args:
        config: Settings; None leaves a value as the recipe, or Keras, has it.
        recipe: The task's own optimizer, used for `name=recipe`.
        total_steps: Optimizer steps of the whole training, the default length of a schedule.

    Returns:
        `recipe`, or a new optimizer that is not built yet.

    Raises:
        UserError: for an unknown name, an argument that the optimizer does not take, or a recipe that cannot
            be built again without losing something.
    """
    if config.name != "recipe":
        return _named(config, total_steps)
    if isinstance(recipe, keras.optimizers.LossScaleOptimizer):
        inner = build(config, recipe.inner_optimizer, total_steps)
        return recipe if inner is recipe.inner_optimizer else _with_loss_scale(recipe, inner)
    changed = _changed(config, recipe)
    if not changed and not _schedules(config):
        return recipe
    _check_rebuildable(recipe, changed or ["schedule"])
    return _rebuilt(config, recipe, total_steps)


def in_scope(optimizer: Optimizer) -> Optimizer:
    """The optimizer for the strategy whose scope this is called in.

    Variables of an optimizer that was made outside of the scope are no part of the strategy: each replica
    would count its steps anew. Such an optimizer is made again from its config, while nothing is lost by it.

    Raises:
        UserError: for one that would lose something.
    """
    scope = tf.distribute.get_strategy().extended
    inner = inner_optimizers(optimizer)
    if not tf.distribute.has_strategy() or all(_is_made_in(scope, one) for one in inner):
        return optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return _with_loss_scale(optimizer, in_scope(optimizer.inner_optimizer))
    made = None
    steps = sum(_steps(one) for one in inner)
    lost = [] if compat.is_multi_optimizer(optimizer) else _lost(optimizer)
    if compat.is_multi_optimizer(optimizer):
        reason = "it has several parts"
    elif optimizer.built or steps:
        reason = f"it was built, and has taken {steps} steps"
    elif lost:
        reason = f"its get_config() leaves out {', '.join(lost)}"
    else:
        made = _rebuilt(OptimizerConfig(), optimizer, 0)
        reason = "its get_config() is not what it was made with"
    if made is None or _config_of(made) != _config_of(optimizer):
        raise UserError(
            f"optimizer: this {type(optimizer).__name__} was made outside of the strategy's scope, and "
            f"cannot be made again there, since {reason}; make it in the task's optimizer(), or give its "
            "name."
        )
    return made


def _steps(optimizer: Optimizer) -> int:
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def _is_made_in(scope: Any, optimizer: Optimizer) -> bool:
    return bool(scope.variable_created_in_scope(optimizer.iterations.value))


def _named(config: OptimizerConfig, total_steps: int) -> Optimizer:
    """A new optimizer of the class that `config.name` stands for."""
    if config.name not in NAMES:
        known = ["recipe", *NAMES]
        raise UserError(f"Unknown optimizer {config.name!r}; {did_you_mean(config.name, known)}")
    arguments = {**PRESETS.get(config.name, {}), **_asked(config)}
    optimizer = _construct(NAMES[config.name], arguments, config.name)
    return _scheduled(config, optimizer, total_steps)


def _rebuilt(config: OptimizerConfig, recipe: Optimizer, total_steps: int) -> Optimizer:
    """A new optimizer with the recipe's config and the settings that were asked for."""
    cls = type(recipe)
    arguments = _config_of(recipe)
    own = compat.own_schedule(recipe)
    if own is not None:
        arguments["learning_rate"] = own  # the object itself: not every schedule survives its config
    arguments.update(_asked(config))
    optimizer = _construct(cls, arguments, cls.__name__)
    copy_weight_decay_exclusions(recipe, optimizer)
    return _scheduled(config, optimizer, total_steps)


def _with_loss_scale(outer: Any, inner: Optimizer) -> Optimizer:
    """A loss-scale optimizer like `outer` around another inner optimizer."""
    arguments = outer.get_config()
    arguments["inner_optimizer"] = inner
    return type(outer)(**arguments)


def _asked(config: OptimizerConfig) -> dict[str, Any]:
    """Arguments of the optimizer that the settings name, by Keras's names."""
    asked = dict(config.options)
    if config.learning_rate is not None:
        asked["learning_rate"] = config.learning_rate
    if config.weight_decay is not None:
        asked["weight_decay"] = config.weight_decay
    clip = dict(zip(CLIPPING, (config.clip.norm, config.clip.global_norm, config.clip.value), strict=True))
    if any(value is not None for value in clip.values()):
        asked.update(clip)  # an optimizer clips in one way, so the asked one replaces the recipe's
    if config.ema.enabled:
        asked["use_ema"] = True
        asked["ema_momentum"] = config.ema.momentum
        asked["ema_overwrite_frequency"] = config.ema.overwrite_every
    return asked


def _changed(config: OptimizerConfig, recipe: Optimizer) -> list[str]:
    """The arguments that the settings name and the recipe has otherwise."""
    asked = _asked(config)
    if not asked:
        return []
    if compat.is_multi_optimizer(recipe):
        return list(asked)
    current = {**_config_of(recipe), "learning_rate": _rate(recipe)}
    return [key for key, value in asked.items() if key not in current or not _same(value, current[key])]


def _config_of(recipe: Optimizer) -> dict[str, Any]:
    """The recipe's config, or a line that says why it has none."""
    try:
        return dict(recipe.get_config())
    except Exception as error:  # it is the user's code, or that of a schedule of theirs
        raise UserError(
            f"{type(recipe).__name__} cannot be changed by optimizer settings, since its get_config() "
            f"failed: {one_line(str(error))}"
        ) from error


def _rate(optimizer: Optimizer) -> float | None:
    """The learning rate if it is a plain number, else None."""
    if compat.own_schedule(optimizer) is not None:
        return None
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _same(asked: Any, current: Any) -> bool:
    """Whether two arguments mean the same; the learning rate comes back from its variable as float32."""
    if isinstance(asked, float) and isinstance(current, float):
        return bool(np.float32(asked) == np.float32(current))
    return bool(asked == current)


def _schedules(config: OptimizerConfig) -> bool:
    return config.schedule.name != "constant" or config.schedule.warmup_steps > 0


def _check_rebuildable(recipe: Optimizer, changed: list[str]) -> None:
    """Refuse an optimizer that would lose something if it were built again from its config.

    Raises:
        UserError: naming what would be lost.
    """
    name = type(recipe).__name__
    asked = ", ".join(changed)
    if compat.is_multi_optimizer(recipe):
        raise UserError(
            f"optimizer settings ({asked}) do not say which optimizer of a MultiOptimizer they mean; set "
            "them in the task's optimizer()."
        )
    if _steps(recipe) > 0:
        raise UserError(
            f"optimizer settings ({asked}) need a new {name}, but this one has taken "
            f"{_steps(recipe)} steps, whose state would be lost; set them on the object itself."
        )
    lost = _lost(recipe)
    if lost:
        raise UserError(
            f"optimizer settings ({asked}) need a new {name}, but its get_config() leaves out "
            f"{', '.join(lost)}; add it there, or set them in the task's optimizer()."
        )


def _lost(recipe: Optimizer) -> list[str]:
    """Arguments of an optimizer that its config leaves out."""
    parameters = inspect.signature(type(recipe).__init__).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} - {"self"}
    return sorted(named - set(_config_of(recipe)))


def _construct(cls: type[Any], arguments: dict[str, Any], name: str) -> Optimizer:
    try:
        return cls.from_config(arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"Optimizer {name!r} does not take these settings: {one_line(str(error))}") from error


def _scheduled(config: OptimizerConfig, optimizer: Optimizer, total_steps: int) -> Optimizer:
    """`optimizer` with the learning-rate schedule that the settings ask for, if any."""
    if not _schedules(config):
        return optimizer
    own = compat.own_schedule(optimizer)
    if own is None:
        optimizer.learning_rate = schedule(config.schedule, _rate(optimizer), total_steps)
    elif config.schedule.name == "constant" and isinstance(
        own, keras.optimizers.schedules.LearningRateSchedule
    ):
        optimizer.learning_rate = schedule(config.schedule, own, total_steps)
    else:
        raise UserError(
            f"optimizer.schedule.name={config.schedule.name}: the task's optimizer has a learning-rate "
            "schedule of its own; set optimizer.learning_rate=<rate to start from> to replace it."
        )
    return optimizer
