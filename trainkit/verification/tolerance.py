"""How far two trainings may be apart, and why."""

from __future__ import annotations

from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError

__all__ = ["on_replicas", "parity_tolerance", "replicas_tolerance"]

ACCUMULATION = 1e-5
REPLICAS = 1e-6
XLA = 1e-4


def parity_tolerance(asked: str, config: TrainerConfig) -> tuple[float, str]:
    """The largest difference between trainkit and `model.fit` that passes, and why it is that.

    Args:
        asked: `auto`, `exact` or a number.
        config: Settings of the trainings, which decide what `auto` means.

    Raises:
        UserError: for anything else.
    """
    number = _asked(asked)
    if number is not None:
        return number, "as asked"
    if config.accumulate > 1:
        reason = "sums over micro-batches round differently from one large batch; without dropout"
        return ACCUMULATION, reason
    if config.execution == "epoch_xla":
        return (
            XLA,
            "XLA compiles a whole epoch here, one step in model.fit, and may fuse and round differently",
        )
    if on_replicas(config):
        reason = (
            "losses are scaled after the sum over replicas here, before it in model.fit; without dropout; "
            "relative to values above 1"
        )
        return REPLICAS, reason
    return 0.0, "the same graph of a step, on the same device: equal bits are possible"


def replicas_tolerance(asked: str) -> tuple[float, str]:
    """The largest difference between one device and several that passes, and why it is that.

    Args:
        asked: `auto`, `exact` or a number.

    Raises:
        UserError: for anything else.
    """
    number = _asked(asked)
    if number is not None:
        return number, "as asked"
    return REPLICAS, "float32 sums over the parts of a batch round differently from one sum over all of it"


def on_replicas(config: TrainerConfig) -> bool:
    """Whether the settings ask for several replicas on this machine."""
    return config.strategy == "mirrored" and (config.replicas or 2) > 1


def _asked(tolerance: str) -> float | None:
    """The number that a tolerance stands for; None for `auto`."""
    if tolerance in ("auto", "exact"):
        return None if tolerance == "auto" else 0.0
    try:
        return float(tolerance)
    except ValueError:
        raise UserError(f"parity.tolerance={tolerance!r}: expected auto, exact or a number.") from None
