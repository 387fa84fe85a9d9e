"""Devices and replicas: which `tf.distribute` strategy a config means, and Keras's loss scaling put where it can be right."""

from __future__ import annotations

import tensorflow as tf

from trainkit.core.errors import UserError


def logical_cpus(count: int) -> None:
    """See to it that TensorFlow has at least `count` logical CPU devices.

    Raises:
        UserError: if TensorFlow already runs with fewer; their number is fixed at its start.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or [None]
    if len(configured) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise UserError(
            f"trainer.replicas={count} needs {count} logical CPU devices, but TensorFlow already runs with {len(configured)} in this process; "
            "start a new process, or call trainkit.strategy.logical_cpus first."
        ) from error
