"""Devices and replicas: which `tf.distribute` strategy a config means, and Keras's loss scaling put where it can be right."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class Agreement:
    """What any of several workers asks for, made known to all. Every worker must ask equally often: it is one small reduction.

    Args:
        strategy: That of the workers.
        words: What can be asked for; at most one of them is ever agreed upon, the first.
    """

    def __init__(self, strategy: tf.distribute.Strategy, words: Sequence[str]) -> None:
        self.words = list(words)
        self._sum = tf.function(
            lambda asked: strategy.reduce("SUM", strategy.run(lambda: tf.identity(asked)), axis=None),
            autograph=False,
        )

    def __call__(self, asked: str | None) -> str | None:
        totals = self._sum(tf.constant([float(asked == word) for word in self.words])).numpy()
        return next((word for word, total in zip(self.words, totals, strict=True) if total), None)
