"""How much memory is free where the rows of a training would stay."""

from __future__ import annotations

import tensorflow as tf

from trainkit.backend.compat import local_devices
from trainkit.core.memory import available_host_bytes

__all__ = ["free_bytes"]


def free_bytes(strategy: tf.distribute.Strategy) -> tuple[float, int]:
    """Free bytes where resident rows go, and the number of copies that share them.

    There is one copy per GPU in its own memory; logical CPU devices share the memory of the host.
    """
    if tf.config.list_logical_devices("GPU"):
        limits = [d.memory_limit for d in local_devices() if d.device_type == "GPU"]
        return min(limits), 1
    return available_host_bytes(), strategy.num_replicas_in_sync
