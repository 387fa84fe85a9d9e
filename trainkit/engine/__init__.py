"""The inner loop: what runs inside the compiled graph. No files, clocks or output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.engine.evaluation import EvaluationProgram
    from trainkit.engine.inputs import EpochShape
    from trainkit.engine.train_loop import TrainProgram
    from trainkit.engine.train_step import TrainStep
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.engine.evaluation": ("EvaluationProgram",),
            "trainkit.engine.inputs": ("EpochShape",),
            "trainkit.engine.train_loop": ("TrainProgram",),
            "trainkit.engine.train_step": ("TrainStep",),
        },
    )

__all__ = ["EpochShape", "EvaluationProgram", "TrainProgram", "TrainStep"]
