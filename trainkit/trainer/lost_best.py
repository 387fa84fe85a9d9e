"""A resumed run whose best epoch has no whole checkpoint any more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint import members
from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.runs.run_dir import RunDir

__all__ = ["forget_lost_best"]


def forget_lost_best(best: Monitor, run: RunDir | None, memory: Mapping[str, Any], epochs: int) -> None:
    """Let the best epoch be chosen anew, with a warning, if its checkpoint is damaged or gone.

    Args:
        best: What follows the best epoch.
        run: The run that is resumed; None: the training begins, or in another run.
        memory: The states of the callbacks in the checkpoint that is resumed, by their names.
        epochs: Complete epochs in that checkpoint.
    """
    epoch = memory.get(Checkpoints.state_name, {}).get("best_epoch")
    if not isinstance(best, Checkpoints) or run is None or not epoch:
        return
    try:
        members.check(run.best)
    except UserError:
        best.lost_epochs = epochs
        warnings.warn(
            f"{shown(run.best)}, the checkpoint of the best epoch {epoch}, is damaged or gone: the best one "
            "is chosen anew among the epochs that follow; if none do, model.keras holds the last weights.",
            stacklevel=2,
        )
