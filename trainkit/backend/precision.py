"""Numeric precision: the dtype policy while a model is built, and what must stay float32 under every
policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from trainkit.backend import compat
from trainkit.core.errors import UserError

__all__ = ["check_float32", "check_process", "inner_optimizer", "learning_rate", "loss_scale", "policy"]

HALF = ("float16", "bfloat16")
MIXED = ("mixed_float16", "mixed_bfloat16")


@contextmanager
def policy(precision: str) -> Iterator[None]:
    """Keras's global dtype policy in the block, the former one after it.

    Args:
        precision: `float32`, `mixed_bfloat16` (needs no loss scale) or `mixed_float16` (Keras then wraps the
            optimizer in a dynamic loss scale).
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_process(precision: str) -> None:
    """Refuse a precision that is not the one Keras was set to in this process, since a model would be made in
    another one than the user has asked Keras for. The defaults of Keras ask for nothing.

    Args:
        precision: As for `policy`.

    Raises:
        UserError: naming what Keras was set to.
    """
    floatx = keras.config.floatx()
    name = keras.config.dtype_policy().name
    if floatx != "float32":
        raise UserError(
            f"keras.config.floatx() is {floatx}; expected float32, in which a Trainer keeps variables and "
            "losses. Call keras.config.set_floatx('float32') and set_dtype_policy('float32'), or train by "
            "model.fit or trainkit.fit."
        )
    if name not in ("float32", precision):
        instead = f"Set trainer.precision={name}" if name in MIXED else "Train by trainkit.fit"
        raise UserError(
            f"keras.config.dtype_policy() is {name}, but trainer.precision is {precision}. {instead}, or "
            "call keras.config.set_dtype_policy('float32')."
        )


def check_float32(model: keras.Model, outputs: Any) -> None:
    """Refuse a model whose variables or outputs are half precision: its softmax or loss would train badly
    without a word.

    Args:
        outputs: Symbolic outputs of the model.

    Raises:
        UserError: naming the first variable or output that is not float32.
    """
    for variable in model.variables:
        if variable.dtype in HALF:
            raise UserError(
                f"Variable {variable.path} of the model is {variable.dtype}; mixed precision keeps variables "
                "in float32. "
                "Remove its dtype argument."
            )
    flat = keras.tree.flatten(outputs)
    layers = [layer.name for layer in model.layers]
    last = layers[-1:] if isinstance(model, keras.Sequential) else []
    names = getattr(model, "output_names", None) or last  # those of the layers that give them
    for number, output in enumerate(flat):
        if getattr(output, "dtype", None) in HALF:
            name = names[number] if len(names) == len(flat) else f"{number + 1} of {len(flat)}"
            what = f"layer {name}" if name in layers else "the layer that gives it"
            raise UserError(
                f"Output {name} of the model is {output.dtype}; outputs must be float32 for loss and "
                f"metrics. Give {what} dtype='float32'."
            )


def loss_scale(optimizer: Any) -> keras.optimizers.LossScaleOptimizer | None:
    """The optimizer's dynamic loss scale, or None."""
    return optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else None


def inner_optimizer(optimizer: Any) -> Any:
    """The optimizer inside of a dynamic loss scale, or the optimizer itself."""
    return optimizer.inner_optimizer if loss_scale(optimizer) is not None else optimizer


def learning_rate(optimizer: Any) -> Any:
    """The current learning rate, a tensor or number; None for an optimizer that has several, such as
    `MultiOptimizer`, or gets it from a function, since a call may change what the next one gives."""
    inner = inner_optimizer(optimizer)
    if inner is None or compat.is_multi_optimizer(inner):
        return None
    given = compat.own_schedule(inner)
    if given is not None and not isinstance(given, keras.optimizers.schedules.LearningRateSchedule):
        return None
    return inner.learning_rate
