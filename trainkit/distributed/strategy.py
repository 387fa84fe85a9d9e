"""Which `tf.distribute` strategy the settings mean."""

from __future__ import annotations

import itertools

import tensorflow as tf

from trainkit.backend.devices import logical_cpus, select_gpus
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError
from trainkit.distributed import cluster
from trainkit.distributed.waiting import wait_for_all

__all__ = ["Mirrored", "make_strategy", "strategy_name"]

KEYS_PER_STRATEGY = 1000
CPU_REPLICAS = 2  # of `mirrored` without GPUs, unless a number is asked for


class Mirrored(tf.distribute.MirroredStrategy):
    """A `MirroredStrategy` that can live in one process with others.

    TensorFlow numbers the groups of devices that reduce together, and their reductions, from 1 in each new
    strategy, and remembers the sizes and shapes of each number as long as the process lives; so every
    strategy gets numbers of its own.

    Replicas on CPU devices share one memory: their gradients are summed on one of them, without the copies
    of collective operations.
    """

    _made = itertools.count()

    def __init__(self, devices: list[str]) -> None:
        self._collective_key_base = KEYS_PER_STRATEGY * next(Mirrored._made)
        on_cpu = all(device.startswith("CPU") for device in devices)
        super().__init__(devices, tf.distribute.ReductionToOneDevice() if on_cpu else None)


def make_strategy(
    config: TrainerConfig, workers: int = 1, *, by_slurm: bool = False
) -> tf.distribute.Strategy:
    """The strategy that `config` asks for; makes logical CPU devices for replicas without GPUs.

    `auto` is `multi_worker` if `TF_CONFIG` (or SLURM) names several workers, `mirrored` with several GPUs or
    `replicas` > 1, else one device.

    Args:
        config: Settings.
        workers: Workers that the environment names.
        by_slurm: Whether SLURM's variables name them, and not `TF_CONFIG`.

    Raises:
        UserError: if the devices are not there, or TensorFlow was started with fewer.
    """
    gpus = select_gpus(config.devices, tf32=config.tf32)
    kind = config.strategy
    if kind == "auto":
        wanted = config.replicas if config.replicas is not None else max(1, len(gpus))
        several = "mirrored" if wanted > 1 else "one_device"
        kind = "multi_worker" if workers > 1 else several
    if kind == "multi_worker":
        return _multi_worker(config, workers, by_slurm)
    if kind == "mirrored":
        return Mirrored(_device_names(len(gpus), config.replicas))
    if (config.replicas or 1) > 1:
        raise UserError(
            f"trainer.strategy=one_device has one replica, got trainer.replicas={config.replicas}; "
            "use trainer.strategy=mirrored."
        )
    return tf.distribute.get_strategy()


def strategy_name(strategy: tf.distribute.Strategy) -> str:
    """`one_device`, `mirrored` or `multi_worker`."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return "multi_worker"
    return "mirrored" if isinstance(strategy, tf.distribute.MirroredStrategy) else "one_device"


def _device_names(gpus: int, replicas: int | None) -> list[str]:
    if gpus:
        count = replicas or gpus
        if count > gpus:
            raise UserError(
                f"trainer.replicas={count} but only {gpus} GPUs are visible; use trainer.replicas={gpus} or "
                "fewer."
            )
        return [f"GPU:{i}" for i in range(count)]
    count = replicas or CPU_REPLICAS
    logical_cpus(count)
    return [f"CPU:{i}" for i in range(count)]


def _multi_worker(config: TrainerConfig, workers: int, by_slurm: bool) -> tf.distribute.Strategy:
    if workers < 2:
        raise UserError(
            "trainer.strategy=multi_worker needs TF_CONFIG with at least two workers; "
            "`python -m trainkit launch workers=2 ...` starts them on this machine."
        )
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver() if by_slurm else None
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=config.heartbeat_seconds)
    if not by_slurm:
        wait_for_all(cluster.addresses(), cluster.own_address())
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver, communication_options=options)
