"""Devices and replicas: which `tf.distribute` strategy a config means, and Keras's loss scaling put where it can be right."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras.src.losses import loss as keras_loss

from trainkit.config import TrainerConfig
from trainkit.task import UserError

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
            raise UserError(f"trainer.strategy=one_device has one replica, got trainer.replicas={config.replicas}; use trainer.strategy=mirrored.")
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
            raise UserError(f"trainer.devices={config.devices} but this machine has {len(gpus)} GPUs, numbered from 0.")
        gpus = [gpus[i] for i in config.devices]
    if gpus:
        tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
        try:
            tf.config.set_visible_devices(gpus, "GPU")
            for gpu in gpus:
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:
            if config.devices is not None and len(tf.config.list_logical_devices("GPU")) != len(gpus):
                raise UserError("trainer.devices cannot change after TensorFlow has started; use a new process.") from error
    return gpus


def _devices(gpus: list[tf.config.PhysicalDevice], replicas: int | None) -> list[str]:
    if gpus:
        count = replicas or len(gpus)
        if count > len(gpus):
            raise UserError(f"trainer.replicas={count} but only {len(gpus)} GPUs are visible; use trainer.replicas={len(gpus)} or fewer.")
        return [f"GPU:{i}" for i in range(count)]
    count = replicas or 2
    logical_cpus(count)
    return [f"CPU:{i}" for i in range(count)]


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


def _multi_worker(config: TrainerConfig, workers: int, by_slurm: bool) -> tf.distribute.Strategy:
    if workers < 2:
        raise UserError(
            "trainer.strategy=multi_worker needs TF_CONFIG with at least two workers; `python -m trainkit launch workers=2 …` starts them on this machine."
        )
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver() if by_slurm else None
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=config.heartbeat_seconds)
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver, communication_options=options)


class Agreement:
    """What any of several workers asks for, made known to all. Every worker must ask equally often: it is one small reduction.

    Args:
        strategy: That of the workers.
        words: What can be asked for; at most one of them is ever agreed upon, the first.
    """

    def __init__(self, strategy: tf.distribute.Strategy, words: Sequence[str]) -> None:
        self.words = list(words)
        self._sum = tf.function(lambda asked: strategy.reduce("SUM", strategy.run(lambda: tf.identity(asked)), axis=None), autograph=False)

    def __call__(self, asked: str | None) -> str | None:
        totals = self._sum(tf.constant([float(asked == word) for word in self.words])).numpy()
        return next((word for word, total in zip(self.words, totals, strict=True) if total), None)


def take_over(optimizer: Any, replicas: int, *, reduction: bool) -> int | None:
    """Take from a Keras optimizer what it does wrongly on several replicas, and the sum over the replicas where there is only one.

    Keras clips, and looks for non-finite values, before it sums the gradients, each replica for itself; on gradients that arrive summed
    both are those of the global batch, and all replicas decide alike. And it fails when the average weights are to become the weights
    every so many steps, since it tries so inside of a condition. Its sum over one replica changes nothing, but TensorFlow remembers the
    gradient of that sum, and with it the whole graph of the training, as long as the process lives.

    Args:
        reduction: Whether the gradients arrive summed.

    Returns:
        The number of steps between such moments, where there are any: from now on the caller's business.
    """
    inner = optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer
    if reduction or replicas == 1:
        inner._all_reduce_sum_gradients = lambda grads_and_vars: grads_and_vars
    if replicas == 1:
        return None
    every, inner.ema_overwrite_frequency = inner.ema_overwrite_frequency, None
    return every


@contextmanager
def plain_losses() -> Iterator[None]:
    """While the block traces a step: Keras losses, `add_loss` and regularizers are plain means over a replica's own rows.

    Keras multiplies each by 1 / number of replicas, which is right only if all replicas have equally many rows, and a task's own
    loss does not do it. The step weights every loss by its share of the global batch instead. Put back at the end.
    """
    scale, unscale = keras_loss.scale_loss_for_distribution, keras_loss.unscale_loss_for_distribution
    keras_loss.scale_loss_for_distribution = keras_loss.unscale_loss_for_distribution = lambda value: value
    try:
        yield
    finally:
        keras_loss.scale_loss_for_distribution, keras_loss.unscale_loss_for_distribution = scale, unscale
