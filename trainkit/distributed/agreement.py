"""What any of several workers asks for, made known to all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

__all__ = ["Agreement", "ChiefsNumber", "differing"]


class Agreement:
    """Lets several workers agree on a word that any of them asks for. All must call it equally often: it is a
    reduction.

    Args:
        strategy: The strategy of the workers.
        words: What can be asked for; at most one of them is ever agreed upon, the first.
    """

    def __init__(self, strategy: tf.distribute.Strategy, words: Sequence[str]) -> None:
        self.words = list(words)

        @tf.function(autograph=False)
        def total(asked: tf.Tensor) -> tf.Tensor:
            return strategy.reduce("SUM", strategy.run(tf.identity, args=(asked,)), axis=None)

        self._total = total

    def __call__(self, asked: str | None) -> str | None:
        """The word that somebody asks for, or None; `asked` is what this worker asks for."""
        totals = self._total(tf.constant([float(asked == word) for word in self.words])).numpy()
        agreed = [word for word, total in zip(self.words, totals, strict=True) if total]
        return agreed[0] if agreed else None


class ChiefsNumber:
    """A number that the chief takes from its clock, made known to all workers. All must call it equally
    often: it is a reduction.

    Args:
        strategy: The strategy of the workers.
        is_chief: Whether this process is the chief.
    """

    def __init__(self, strategy: tf.distribute.Strategy, is_chief: bool) -> None:
        self.is_chief = is_chief

        @tf.function(autograph=False)
        def total(number: tf.Tensor) -> tf.Tensor:
            return strategy.reduce("SUM", strategy.run(tf.identity, args=(number,)), axis=None)

        self._total = total

    def __call__(self, number: float) -> float:
        """The chief's number, whatever this worker's is."""
        mine = number if self.is_chief else 0.0
        return float(self._total(tf.constant(mine, tf.float32)).numpy())


def differing(strategy: tf.distribute.Strategy, is_chief: bool, facts: Mapping[str, bytes]) -> str | None:
    """The first fact of which a worker knows something else than the chief; None: all agree. All must call
    it with as many facts, in the same order: it makes two reductions.

    Args:
        strategy: The strategy of the workers.
        is_chief: Whether this process is the chief.
        facts: What must be the same, by names for people.
    """
    digests = np.concatenate(
        [np.frombuffer(hashlib.sha256(fact).digest(), np.uint16) for fact in facts.values()]
    ).astype(np.float32)  # which holds sums of such numbers exactly

    @tf.function(autograph=False)
    def total(mine: tf.Tensor) -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(tf.identity, args=(mine,)), axis=None)

    # The last number counts the replicas of the chief.
    totals = total(tf.constant(np.append(digests, 1.0) * np.float32(is_chief), tf.float32)).numpy()
    others = (totals[:-1] / totals[-1] != digests).reshape(len(facts), -1).any(axis=1)
    first = next((name for name, other in zip(facts, others, strict=True) if other), None)
    return Agreement(strategy, list(facts))(first)
