"""The order of the training rows in each epoch."""

from __future__ import annotations

import numpy as np

__all__ = ["order"]


def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The permutation of the training rows `[rows]` int32 in an epoch, a pure function of its arguments.

    Every feed, every strategy and `model.fit` train on these rows in this order, so that any epoch can be
    repeated, or entered in the middle.
    """
    return np.random.default_rng([seed, epoch]).permutation(np.arange(rows, dtype=np.int32))
