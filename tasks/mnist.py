"""Handwritten digits: the classic dropout perceptron of the Keras examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from trainkit.data import scikit, sources
from trainkit.task import Arrays, Splits, Task


@dataclass(frozen=True)
class MNIST(Task):
    """Digits: images [B, 28, 28] uint8 -> class probabilities [B, 10]. 784-512-512-10 with dropout, RMSprop 1e-3, one-hot cross-entropy.

    Args:
        source, dir: Where the images come from, see `trainkit.data.sources.mnist`.
        validation: Share of the training images held out, by class. 0: none.
        seed: Of that split.
        units: Widths of the hidden layers.
        dropout: Share of hidden units dropped in training.
    """

    source: str = "auto"
    dir: str | None = None
    validation: float = 0.2
    seed: int = 0
    units: tuple[int, ...] = (512, 512)
    dropout: float = 0.2

    def data(self) -> Splits:
        images = sources.mnist(self.source, self.dir)
        rows = Arrays(images.train, np.eye(10, dtype=np.float32)[images.train_labels])
        test = Arrays(images.test, np.eye(10, dtype=np.float32)[images.test_labels])
        if not self.validation:
            return Splits(rows, None, test, images.source)
        kept, held = scikit.split_rows(len(rows), self.validation, self.seed, images.train_labels)
        return Splits(rows.take(kept), rows.take(held), test, images.source)

    def model(self, train: Arrays) -> keras.Model:
        # The rows stay bytes in memory, a quarter of the size; the model scales them, so it can be given raw pixels anywhere.
        model = keras.Sequential([keras.Input((28, 28), dtype="uint8"), layers.Rescaling(1 / 255), layers.Flatten()])
        for width in self.units:
            model.add(layers.Dense(width, activation="relu"))
            model.add(layers.Dropout(self.dropout))
        model.add(layers.Dense(10, activation="softmax", dtype="float32"))
        return model

    def loss(self) -> keras.losses.Loss:
        return keras.losses.CategoricalCrossentropy()

    def metrics(self) -> list[Any]:
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.RMSprop()

    def monitor(self) -> str:
        return "val_accuracy" if self.validation else "accuracy"
