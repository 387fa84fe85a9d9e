"""Random streams: the order of the rows, and independent numbers on every replica."""

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


def replica() -> tuple[int, int]:
    """The number of replicas, and which of them the code is being traced for: (1, 0) outside of any strategy."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 1, 0
    return context.num_replicas_in_sync, int(tf.get_static_value(context.replica_id_in_sync_group))


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
