"""How much memory is free where the rows of a training would stay."""

from __future__ import annotations

import os

import tensorflow as tf

from trainkit.backend.compat import local_devices

__all__ = ["available_host_bytes", "free_bytes"]


def free_bytes(strategy: tf.distribute.Strategy) -> tuple[float, int]:
    """Free bytes where resident rows go, and the number of copies that share them.

    There is one copy per GPU in its own memory; logical CPU devices share the memory of the host.
    """
    if tf.config.list_logical_devices("GPU"):
        limits = [d.memory_limit for d in local_devices() if d.device_type == "GPU"]
        return min(limits), 1
    return available_host_bytes(), strategy.num_replicas_in_sync


def available_host_bytes() -> float:
    """Bytes of memory that programs can have without swapping; on Linux, what caches of files hold counts."""
    try:
        with open("/proc/meminfo") as file:
            lines = [line.split() for line in file if line.startswith("MemAvailable")]
        return float(lines[0][1]) * 1024
    except (OSError, IndexError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
