"""Handwritten digits by a small convolutional network, built with the functional API."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from trainkit.task import Arrays
from trainkit.tasks.mnist import MNIST


@dataclass(frozen=True)
class MnistCnn(MNIST):
    """Digits: images [B, 28, 28] uint8 -> class probabilities [B, 10]. Two convolutions with batch normalisation, a hidden layer, Adam 1e-3.

    Args:
        filters: Channels of the two convolutions.
        units: Widths of the hidden layers.
    """

    filters: tuple[int, int] = (16, 32)
    units: tuple[int, ...] = (128,)
    dropout: float = 0.4

    def model(self, train: Arrays) -> keras.Model:
        pixels = keras.Input((28, 28), dtype="uint8")
        x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(pixels))
        for filters in self.filters:
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
            x = layers.MaxPooling2D()(x)
        x = layers.Flatten()(x)
        for width in self.units:
            x = layers.Dropout(self.dropout)(layers.Dense(width, activation="relu")(x))
        return keras.Model(pixels, layers.Dense(10, activation="softmax", dtype="float32")(x))

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3)
