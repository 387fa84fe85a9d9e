"""The state of a training by hand: saved as a checkpoint, or lent by one for a while."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainkit.checkpoint import store
from trainkit.checkpoint.members import check_replaceable
from trainkit.checkpoint.train_state import TrainState
from trainkit.trainer.loop import Loop
from trainkit.trainer.mid_epoch import record
from trainkit.trainer.setup import TrainSetup

__all__ = ["of_checkpoint", "save"]


def save(setup: TrainSetup, loop: Loop | None, folder: Path) -> Path:
    """Write all that a training goes on from as the folder, atomically.

    Args:
        setup: What is or was trained.
        loop: Its last fit; None: there was none.
        folder: New or empty, or a checkpoint, which is replaced.

    Raises:
        UserError: if the folder holds something else, or cannot be written.
    """
    check_replaceable(folder)
    kept = loop.mid_epoch.record() if loop else None
    if kept is not None:
        return kept.write(folder)
    if loop and loop.times.total and loop.callbacks.averages.callbacks:
        warnings.warn(
            "SwapEMAWeights has ended with the average weights: a training goes on from them. Checkpoints of "
            "a run directory keep the others, too.",
            stacklevel=3,
        )
    values = setup.state.resumable()
    callbacks, execution = (loop.callbacks, loop.choice.execution) if loop else (None, "")
    return record(setup, callbacks, execution, values).write(folder)


@contextmanager
def of_checkpoint(state: TrainState, folder: Path | None) -> Iterator[None]:
    """The state as a checkpoint has it during the block, averages of weights in their place; None: as it is.

    Raises:
        UserError: if the folder is no checkpoint of this model.
    """
    if folder is None:
        yield
        return
    with state.lent():
        store.restore(state, folder)
        state.finalize()
        yield
