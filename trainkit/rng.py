"""Random streams: the order of the rows, dropout masks that are fast under XLA, and independent masks on every replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow import random as backend_random


def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of the training rows in an epoch: a permutation `[rows]` int32, a pure function of its arguments.

    Every feed, every strategy and `model.fit` train on these rows in this order, so any epoch can be repeated or entered in its middle.
    """
    return np.random.default_rng([seed, epoch]).permutation(np.arange(rows, dtype=np.int32))


def fast_mask(shape: Any, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Boolean mask, True with probability `1 - rate`, from 32 random threefry bits an entry (exists under XLA only).

    The probability is right to 2**-32. XLA on a CPU draws these about 10 times faster than the float Philox numbers of Keras.
    """
    bits = tf.random.stateless_uniform(shape, seed=seed, minval=None, maxval=None, dtype=tf.int32, alg="threefry")
    # The bits are uniform over all int32, so a signed threshold does as well as an unsigned one.
    threshold = min(round(rate * 2**32), 2**32 - 1) - 2**31
    return bits >= tf.constant(threshold, tf.int32)


def _fast_dropout(inputs: tf.Tensor, rate: float, noise_shape: Any = None, seed: Any = None) -> tf.Tensor:
    if rate in (0.0, 1.0):
        return inputs if rate == 0.0 else tf.zeros_like(inputs)
    drawn = backend_random._cast_seed(backend_random.draw_seed(seed))
    shape = backend_random._get_concrete_noise_shape(inputs, noise_shape)
    scaled = inputs * tf.cast(1.0 / (1.0 - rate), inputs.dtype)
    return tf.where(fast_mask(shape, rate, drawn), scaled, tf.zeros_like(inputs))


def replica() -> tuple[int, int]:
    """The number of replicas, and which of them the code is being traced for: (1, 0) outside of any strategy."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 1, 0
    return context.num_replicas_in_sync, int(tf.get_static_value(context.replica_id_in_sync_group))


@contextmanager
def streams(fast_dropout: bool) -> Iterator[None]:
    """While the block traces a training step: draw dropout from fast bits if asked, and give every replica its own stream.

    Keras draws the same numbers on all replicas of a strategy, since their seed generators hold equal states; here the replica's
    number is added to the seed. Replica 0 keeps Keras's own numbers. Both functions are put back at the end, whatever happens.
    """
    draw, dropout = backend_random.draw_seed, backend_random.dropout

    def replica_seed(seed: Any) -> tf.Tensor:
        drawn = draw(seed)
        _, number = replica()
        # A seed is [user seed, counter]; a large odd multiplier takes replicas far from the neighbouring seeds that layers may have.
        return drawn if number == 0 else drawn + tf.constant([number * 829_348_951, 0], drawn.dtype)

    backend_random.draw_seed = replica_seed
    if fast_dropout:
        backend_random.dropout = _fast_dropout
    try:
        yield
    finally:
        backend_random.draw_seed, backend_random.dropout = draw, dropout
