"""Random streams: the order of the rows, and independent numbers on every replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import random as backend_random
from keras.src.losses import loss as keras_loss

from trainkit.backend.replica import replica


@contextmanager
def streams() -> Iterator[None]:
    """While the block traces a training step, give every replica its own random stream.

    Keras draws the same numbers on all replicas of a strategy, since their seed generators hold equal states; here the replica's
    number is added to the seed. Replica 0 keeps Keras's own numbers. Keras's function is put back at the end, whatever happens.
    """
    draw = backend_random.draw_seed

    def replica_seed(seed: Any) -> tf.Tensor:
        drawn = draw(seed)
        _, number = replica()
        # A seed is [user seed, counter]; a large odd multiplier takes replicas far from the neighbouring seeds that layers may have.
        return drawn if number == 0 else drawn + tf.constant([number * 829_348_951, 0], drawn.dtype)

    backend_random.draw_seed = replica_seed
    try:
        yield
    finally:
        backend_random.draw_seed = draw


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
    inner = (
        optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer
    )
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
