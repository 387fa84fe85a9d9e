"""Random numbers that are hashes of (seed, epoch, row, draw)."""

from __future__ import annotations

import numpy as np

__all__ = ["Draws", "symmetric_beta"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
BITS = 53  # of a float64


class Draws:
    """Random numbers for some rows of an epoch; each call gives the next ones.

    Source of the hash: G. Steele et al.: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014
    (SplitMix64).

    Args:
        seed: Of the training.
        epoch: Number of the epoch.
        rows: Numbers of the rows `[N]` among all training rows.
    """

    def __init__(self, seed: int, epoch: int, rows: np.ndarray) -> None:
        key = _mixed(np.array([seed], np.uint64) * GOLDEN + np.uint64(epoch) + GOLDEN)
        self.state = _mixed(np.asarray(rows, np.uint64) * GOLDEN + key)
        self.calls = 0

    def uniform(self, low: float = 0.0, high: float = 1.0, count: int = 0) -> np.ndarray:
        """Numbers `[N]`, or `[N, count]`, from `low` to `high`."""
        self.calls += 1
        state = _mixed(self.state + np.array([self.calls], np.uint64) * GOLDEN)
        if count:
            state = state[:, None] + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        share = (_mixed(state) >> np.uint64(64 - BITS)).astype(np.float64) / 2.0**BITS
        return low + (high - low) * share

    def normal(self, count: int) -> np.ndarray:
        """Numbers `[N, count]` float32 of mean 0 and deviation 1."""
        radius = np.sqrt(-2 * np.log1p(-self.uniform(count=count)))
        return np.asarray(radius * np.cos(2 * np.pi * self.uniform(count=count)), np.float32)

    def chance(self, share: float) -> np.ndarray:
        """True `[N]` for a share of the rows."""
        return self.uniform() < share


def symmetric_beta(alpha: float, uniform: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Numbers `[N]` from 0 to 1 with the density of `Beta(alpha, alpha)`.

    With `x = v^(1/alpha) / 2` the density of v on the lower half is `(1 - x)^(alpha - 1)` up to a factor,
    which has no pole; its integral is inverted on a grid.

    Args:
        alpha: Greater than 0.
        uniform: Numbers `[N]` from 0 to 1.
        side: True `[N]` for the upper half.
    """
    v = np.linspace(0, 1, 1025)
    density = (1 - 0.5 * v ** (1 / alpha)) ** (alpha - 1)
    areas = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    lower = 0.5 * np.interp(uniform, areas / areas[-1], v) ** (1 / alpha)
    return np.asarray(np.where(side, 1 - lower, lower))


def _mixed(state: np.ndarray) -> np.ndarray:
    """Every bit of the result depends on every bit of the argument; products of arrays overflow as meant."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
