"""Random streams: the order of the rows, and independent numbers on every replica."""

from __future__ import annotations

import numpy as np


def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of the training rows in an epoch: a permutation `[rows]` int32, a pure function of its arguments.

    Every feed, every strategy and `model.fit` train on these rows in this order, so any epoch can be repeated or entered in its middle.
    """
    return np.random.default_rng([seed, epoch]).permutation(np.arange(rows, dtype=np.int32))
