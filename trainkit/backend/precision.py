"""Numeric precision: the dtype policy while a task is built, and what must stay float32 whatever the policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from trainkit.core.errors import UserError


@contextmanager
def policy(precision: str) -> Iterator[None]:
    """Keras's global dtype policy inside the block, the former one after it.

    Args:
        precision: `float32`, `mixed_bfloat16` (no loss scale needed) or `mixed_float16` (Keras then wraps the optimizer in a dynamic loss scale).
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check(model: keras.Model) -> None:
    """Refuse a model whose variables or outputs are not float32: a half-precision softmax or loss trains badly without a word.

    Raises:
        UserError: naming the first output or variable that is not.
    """
    for variable in model.variables:
        if variable.dtype in ("float16", "bfloat16"):
            raise UserError(
                f"Variable {variable.path} of the model is {variable.dtype}; mixed precision keeps variables in float32. Remove its dtype argument."
            )
    for output in keras.tree.flatten(model.outputs or []):
        if output.dtype in ("float16", "bfloat16"):
            raise UserError(
                f"Output {output.name} of the model is {output.dtype}; outputs must be float32 for loss and metrics. Give the last layer dtype='float32'."
            )


def loss_scale(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.LossScaleOptimizer | None:
    """The optimizer's dynamic loss scale, if it has one."""
    return optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else None
