"""Handwritten digits by a small convolutional network, built with Keras's functional API.

Data: those of `mnist`.

Recipe: three blocks of convolution, batch normalization and pooling under Adam, in the form of VGG; S. Ioffe,
C. Szegedy: Batch Normalization, arXiv:1502.03167.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from trainkit.core.datasets import Arrays
from trainkit.tasks.mnist import MNIST

__all__ = ["MnistCnn"]


@dataclass(frozen=True)
class MnistCnn(MNIST):
    """Digits: images `[B, 28, 28]` uint8 to probabilities `[B, 10]`; labels are one-hot.

    Args:
        filters: Filters of each convolution; a pooling after it halves the image.
        units: Units of each hidden layer after the convolutions.
        dropout: Share of the units that each hidden layer drops, from 0 to less than 1.
    """

    filters: tuple[int, ...] = (32, 64, 64)
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
