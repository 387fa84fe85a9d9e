"""Keras's iterator over batches, whose dataset is made when it is first read."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.trainers.epoch_iterator import EpochIterator

from trainkit.backend.compat import pipelines

__all__ = ["LaterIterator"]


class LaterIterator(TFEpochIterator):
    """Keras copies all arrays into a dataset at once; rows that stay on the device never read it."""

    def __init__(self, distribute_strategy: tf.distribute.Strategy, **arguments: Any) -> None:
        EpochIterator.__init__(self, **arguments)
        self._distribute_strategy = distribute_strategy

    @functools.cached_property
    def _distributed_dataset(self) -> Any:
        dataset = self.data_adapter.get_tf_dataset()
        if isinstance(dataset, tf.distribute.DistributedDataset):
            return dataset
        return self._distribute_strategy.experimental_distribute_dataset(dataset)

    @functools.cached_property
    def _runs_python(self) -> bool:
        given = self._distributed_dataset
        return not isinstance(given, tf.data.Dataset) or pipelines.runs_python(given)

    def executions_left(self, done: int) -> int | None:
        """Executions of the epoch after the first `done`; None: only the end of its rows tells."""
        steps = self.steps_per_epoch or self._num_batches
        if not steps:
            return None
        size = self.steps_per_execution
        left = int(-(-steps // size) - done)
        if self._num_batches:
            left = min(left, -(-int(self._num_batches - self._steps_seen) // size))
        return max(0, left)

    def _enumerate_iterator(self) -> Iterator[tuple[int, int, Any]]:
        held: list[Any] = []
        try:
            for first, last, iterator in super()._enumerate_iterator():
                held = [iterator]
                del iterator
                yield first, last, held[0]
        finally:
            if held and held[0] is not self._current_iterator and not self._runs_python:
                pipelines.let_go(held)
