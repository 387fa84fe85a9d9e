"""How many epochs a call of the compiled program may run, at the most."""

from __future__ import annotations

from trainkit.callbacks.callback_list import CallbackList
from trainkit.trainer.pacing import MAX_EPOCHS_PER_CALL
from trainkit.trainer.setup import TrainSetup

__all__ = ["SNAPSHOT_BYTES", "max_epochs_per_call"]

ORDER_BYTES = 16e6  # row orders handed to one call, at the most
SNAPSHOT_BYTES = 64e6  # state that the graph may copy for a best epoch inside of a call of several


def max_epochs_per_call(setup: TrainSetup, callbacks: CallbackList, *, validated_by_host: bool) -> int:
    """One, unless all callbacks only observe and nothing else needs the host between epochs.

    Args:
        setup: The task made ready.
        callbacks: What they want to see or change.
        validated_by_host: Whether the host validates between epochs.
    """
    config = setup.config
    needs_host = (
        not callbacks.only_observers
        or setup.source.kind == "stream"
        or setup.replicas > 1
        or config.steps is not None
        or config.execution.startswith("step")
        or setup.state.nbytes > SNAPSHOT_BYTES
        or validated_by_host
        or setup.step.host_resets
    )
    if needs_host:
        return 1
    # Rounded up, and whatever is done already, so that fits of other lengths call the same program.
    most = 1 << (config.epochs - 1).bit_length()
    orders = max(1, int(ORDER_BYTES // (4 * setup.source.rows)))
    return min(most, config.epochs_per_call or MAX_EPOCHS_PER_CALL, orders)
