"""Keras's iterator over batches, whose dataset is made when it is first read."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.trainers.epoch_iterator import EpochIterator

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
