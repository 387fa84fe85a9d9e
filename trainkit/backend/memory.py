"""From a task to something that can be trained: data checked, model, optimizer and metrics built, and all made to fit each other."""

from __future__ import annotations

import os

import tensorflow as tf


def _free_memory(distribution: tf.distribute.Strategy) -> tuple[float, int]:
    """Bytes free where resident rows go, and copies that share them: one a GPU, but all logical CPUs share the host's memory."""
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        from tensorflow.python.client import device_lib

        return min(d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"), 1
    return _available(), distribution.num_replicas_in_sync


def _available() -> float:
    """Bytes of memory that programs can have without swapping; what caches of files hold counts, where the system says so."""
    try:
        with open("/proc/meminfo") as file:
            return next(float(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
