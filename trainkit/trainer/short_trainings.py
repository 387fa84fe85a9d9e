"""What a training is too short for: what costs more at its start than it saves by its end."""

from __future__ import annotations

from typing import Any

from trainkit.config import TrainerConfig
from trainkit.core.tree import leaves

__all__ = ["masks_pay", "recurrent_kernels_pay"]

# Of an LSTM or a GRU: what its kernel takes to trace and compile, and saves per time step. Keras's own loop
# took 3 ms more for 60 time steps, of 12 or of 64 units, and 0.5 ms for 10.
KERNEL_SECONDS = 0.5
TIME_STEP_SECONDS = 5e-5
USUAL_TIME_STEPS = 60  # where rows have no known length
# Of a dropout mask that XLA compiles in a program of TensorFlow: it takes 0.4 s, for each shape, and saves
# 0.06 ms a step for 16,000 elements and 0.3 ms for 131,000.
MASK_STEPS = 2000


def masks_pay(config: TrainerConfig, steps_per_epoch: int | None) -> bool:
    """Whether a training without XLA is known to be long enough to have the masks of dropout compiled.
    Arguments as of `recurrent_kernels_pay`."""
    if config.execution != "auto" or config.fast_kernels:
        return True
    return steps_per_epoch is not None and config.epochs * steps_per_epoch >= MASK_STEPS


def recurrent_kernels_pay(config: TrainerConfig, steps_per_epoch: int | None, spec: Any) -> bool:
    """Whether a training is long enough for kernels of recurrent layers; it is, if nobody knows.

    Args:
        config: Settings. What is asked for is done.
        steps_per_epoch: Steps per epoch; None: until the rows end.
        spec: Structure of `tf.TensorSpec` of one row, whose time steps come first.
    """
    if config.execution != "auto" or config.fast_kernels or steps_per_epoch is None:
        return True
    steps = config.epochs * steps_per_epoch  # all: one that is stopped and resumed goes on as it was
    lengths = [one.shape[0] for one in leaves(spec) if one.shape.rank]
    longest = USUAL_TIME_STEPS if None in lengths else max(lengths, default=USUAL_TIME_STEPS)
    return steps * longest * TIME_STEP_SECONDS >= KERNEL_SECONDS
