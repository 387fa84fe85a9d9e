"""Devices and replicas: which `tf.distribute` strategy a config means, and Keras's loss scaling put where it can be right."""

from __future__ import annotations

import itertools

import tensorflow as tf

from trainkit.backend.devices import logical_cpus
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError

GROUPS_A_STRATEGY = 1000


def make(config: TrainerConfig, workers: int = 1, *, by_slurm: bool = False) -> tf.distribute.Strategy:
    """The strategy that `config` asks for; makes logical CPU devices for replicas where there are no GPUs.

    `auto` is `multi_worker` where `TF_CONFIG` (or SLURM) names several workers, `mirrored` with several GPUs or `replicas` > 1, else one device.

    Args:
        config: Settings.
        workers: Those that the environment names.
        by_slurm: Whether SLURM's variables name them, and not `TF_CONFIG`.

    Raises:
        UserError: if the devices are not there, or TensorFlow was started with fewer.
    """
    gpus = _gpus(config)
    kind = config.strategy
    if kind == "auto":
        wanted = config.replicas if config.replicas is not None else max(1, len(gpus))
        kind = "multi_worker" if workers > 1 else "mirrored" if wanted > 1 else "one_device"
    if kind == "multi_worker":
        return _multi_worker(config, workers, by_slurm)
    if kind == "one_device":
        if (config.replicas or 1) > 1:
            raise UserError(
                f"trainer.strategy=one_device has one replica, got trainer.replicas={config.replicas}; use trainer.strategy=mirrored."
            )
        return tf.distribute.get_strategy()
    return Mirrored(_devices(gpus, config.replicas))


class Mirrored(tf.distribute.MirroredStrategy):
    """A `MirroredStrategy` that can live in one process with others.

    TensorFlow numbers the groups of devices that reduce together, and their reductions, from 1 in each new strategy, and remembers the
    sizes and shapes of each number as long as the process lives; so every strategy gets numbers of its own.
    """

    _made = itertools.count()

    def __init__(self, devices: list[str]) -> None:
        self._collective_key_base = GROUPS_A_STRATEGY * next(Mirrored._made)
        super().__init__(devices)


def _gpus(config: TrainerConfig) -> list[tf.config.PhysicalDevice]:
    """The GPUs to be used, memory growth on: other programs on the machine keep their share."""
    gpus = tf.config.list_physical_devices("GPU")
    if config.devices is not None:
        if not all(0 <= i < len(gpus) for i in config.devices):
            raise UserError(
                f"trainer.devices={config.devices} but this machine has {len(gpus)} GPUs, numbered from 0."
            )
        gpus = [gpus[i] for i in config.devices]
    if gpus:
        tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
        try:
            tf.config.set_visible_devices(gpus, "GPU")
            for gpu in gpus:
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:
            if config.devices is not None and len(tf.config.list_logical_devices("GPU")) != len(gpus):
                raise UserError(
                    "trainer.devices cannot change after TensorFlow has started; use a new process."
                ) from error
    return gpus


def _devices(gpus: list[tf.config.PhysicalDevice], replicas: int | None) -> list[str]:
    if gpus:
        count = replicas or len(gpus)
        if count > len(gpus):
            raise UserError(
                f"trainer.replicas={count} but only {len(gpus)} GPUs are visible; use trainer.replicas={len(gpus)} or fewer."
            )
        return [f"GPU:{i}" for i in range(count)]
    count = replicas or 2
    logical_cpus(count)
    return [f"CPU:{i}" for i in range(count)]


def _multi_worker(config: TrainerConfig, workers: int, by_slurm: bool) -> tf.distribute.Strategy:
    if workers < 2:
        raise UserError(
            "trainer.strategy=multi_worker needs TF_CONFIG with at least two workers; `python -m trainkit launch workers=2 …` starts them on this machine."
        )
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver() if by_slurm else None
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=config.heartbeat_seconds)
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver, communication_options=options)
