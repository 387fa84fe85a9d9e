"""What makes one compiled program differ from another."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.core.monitor import MonitorRule
from trainkit.engine.evaluation import EvaluationShape
from trainkit.engine.inputs import EpochShape

__all__ = ["ProgramSpec"]


@dataclass(frozen=True)
class ProgramSpec:
    """What makes one compiled program differ from another: the key of the program cache.

    Args:
        shape: Sizes of the epoch and of a call.
        validation: Sizes of the validation that the program runs after an epoch; None: the program runs none.
        rules: Monitored values whose best epoch and early stop the graph decides when a call runs several
            epochs.
        xla: Whether XLA compiles the program.
        by_step: With `xla`: compile each step by itself, as `model.fit(jit_compile=True)` does, and not the
            loop around it.
        fast: Use the kernels of `backend.kernels` in place of Keras's own.
        hidden_rows: Trace the steps for an unknown number of rows, as `model.fit` does.
        hidden_validation_rows: The same for those of the validation.
        direct: The rows of a call are one batch as it came, of any structure and shape; nothing is gathered
            from it.
    """

    shape: EpochShape
    validation: EvaluationShape | None = None
    rules: tuple[MonitorRule, ...] = ()
    xla: bool = False
    by_step: bool = False
    fast: bool = False
    hidden_rows: bool = False
    hidden_validation_rows: bool = False
    direct: bool = False
