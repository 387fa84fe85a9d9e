"""How fast a training could be: a figure that it can do without."""

from __future__ import annotations

import warnings

from trainkit.backend import compile_cache
from trainkit.trainer import roofline
from trainkit.trainer.loop import StepCost
from trainkit.trainer.setup import TrainSetup

__all__ = ["step_cost"]


def step_cost(setup: TrainSetup, *, again: bool = False) -> StepCost:
    """What a step costs at best, measured; not known where the disk does not take the program that times it.

    Args:
        setup: The task made ready.
        again: Time it once more.
    """
    try:
        return roofline.measure(setup, again=again)
    except Exception as error:  # whatever XLA raises
        if not (unkept := compile_cache.unkept(error)):
            raise
        warnings.warn(f"{unkept} Speeds are told without a ceiling.", stacklevel=2)
        return StepCost(reason=unkept)
