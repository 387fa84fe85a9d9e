"""Handwritten digits by a small convolutional network, built with Keras's functional API; the data are those of `mnist`."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from trainkit.core.datasets import Arrays
from trainkit.tasks.mnist import MNIST


@dataclass(frozen=True)
class MnistCnn(MNIST):
    """Digits: images [B, 28, 28] uint8 -> probabilities [B, 10]; labels one-hot."""

    filters: tuple[int, ...] = (
        32,
        64,
        64,
    )  # of the convolutions; each is followed by a pooling that halves the image
    units: tuple[int, ...] = (128,)
    dropout: float = 0.4

    def model(self, train: Arrays) -> keras.Model:
        images = keras.Input(train.x.shape[1:])
        x = layers.Rescaling(1 / 255)(images)
        x = layers.Reshape((*train.x.shape[1:], 1))(x)
        for filters in self.filters:
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(x)
            x = layers.MaxPooling2D()(x)
        x = layers.Flatten()(x)
        for units in self.units:
            x = layers.Dense(units, activation="relu")(x)
            x = layers.Dropout(self.dropout)(x)
        return keras.Model(images, layers.Dense(10, activation="softmax", dtype="float32")(x))

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3)
