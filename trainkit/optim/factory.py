"""One Keras optimizer from one config, the same for our loop and for `model.fit`."""

from __future__ import annotations

from typing import Any

import keras

from trainkit.config.schema import OptimizerConfig
from trainkit.core.errors import UserError, did_you_mean
from trainkit.optim.schedules import schedule

# The command's names; the classes are Keras's.
NAMES = {
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


PRESETS: dict[str, dict[str, Any]] = {"momentum": {"momentum": 0.9}}


def build(
    config: OptimizerConfig, recipe: keras.optimizers.Optimizer, total_steps: int
) -> keras.optimizers.Optimizer:
    """The optimizer that `config` asks for.

    Args:
        config: Settings; None values keep what the recipe or Keras has.
        recipe: The task's own optimizer, used for `name=recipe`.
        total_steps: Optimizer steps of the whole training, the length of a cosine schedule by default.

    Raises:
        UserError: for an unknown name or an argument that the optimizer does not take.
    """
    if config.name == "recipe":
        cls, arguments = type(recipe), recipe.get_config()
    elif config.name in NAMES:
        cls, arguments = NAMES[config.name], dict(PRESETS.get(config.name, {}))
    else:
        raise UserError(f"Unknown optimizer {config.name!r}; {did_you_mean(config.name, ['recipe', *NAMES])}")
    arguments.update(config.options)
    if config.weight_decay is not None:
        arguments["weight_decay"] = config.weight_decay
    if config.learning_rate is not None:
        arguments["learning_rate"] = config.learning_rate
    for key, value in (
        ("clipnorm", config.clip.norm),
        ("global_clipnorm", config.clip.global_norm),
        ("clipvalue", config.clip.value),
    ):
        if value is not None:
            arguments[key] = value
    if config.ema.enabled:
        arguments.update(
            use_ema=True, ema_momentum=config.ema.momentum, ema_overwrite_frequency=config.ema.overwrite_every
        )
    try:
        optimizer = cls.from_config(arguments)
        if config.schedule.name != "constant" or config.schedule.warmup_steps:
            optimizer.learning_rate = schedule(
                config.schedule, float(keras.ops.convert_to_numpy(optimizer.learning_rate)), total_steps
            )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"Optimizer {config.name!r} does not take these settings: {str(error).splitlines()[0]}"
        ) from error
    return optimizer
