"""The devices that compute: which GPUs are visible, and logical CPU devices for replicas without GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf

from trainkit.backend import xla_flags
from trainkit.core.errors import UserError

__all__ = ["describe", "has_gpu", "logical_cpus", "select_gpus"]


def has_gpu() -> bool:
    """Whether TensorFlow computes on a GPU in this process."""
    return bool(tf.config.list_logical_devices("GPU"))


def logical_cpus(count: int) -> None:
    """Make sure that TensorFlow has at least `count` logical CPU devices.

    Raises:
        UserError: if TensorFlow already runs with fewer; their number is fixed when it starts.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or [None]
    if len(configured) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise UserError(
            f"trainer.replicas={count} needs {count} logical CPU devices, but TensorFlow already runs with "
            f"{len(configured)} in this process; start a new process, or call "
            f"trainkit.backend.devices.logical_cpus({count}) first."
        ) from error


def select_gpus(indices: Sequence[int] | None, *, tf32: bool) -> list[tf.config.PhysicalDevice]:
    """The GPUs to use, with memory growth on, so that other programs on the machine keep their share.

    Args:
        indices: Numbers of the GPUs; None: all.
        tf32: Whether products may use TensorFloat-32.

    Raises:
        UserError: for a GPU that is not there, or a selection that comes after TensorFlow has started.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if indices is not None:
        if not all(0 <= i < len(gpus) for i in indices):
            raise UserError(
                f"trainer.devices={list(indices)} but this machine has {len(gpus)} GPUs, numbered from 0."
            )
        gpus = [gpus[i] for i in indices]
    if not gpus:
        xla_flags.choose()
        return []
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    try:
        tf.config.set_visible_devices(gpus, "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        if indices is not None and len(tf.config.list_logical_devices("GPU")) != len(gpus):
            raise UserError(
                "trainer.devices cannot change after TensorFlow has started; use a new process."
            ) from error
    return list(gpus)


def describe() -> str:
    """What computes, for people: `2 CPU cores`, `1 x NVIDIA H200`."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return f"{os.cpu_count()} CPU cores"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"{len(gpus)} x {name}"
