"""Handwritten digits by a small convolutional network, built with Keras's functional API.

Data: those of `mnist`.

Recipe: three blocks of convolution, batch normalization and pooling under Adam, in the form of VGG; S. Ioffe,
C. Szegedy: Batch Normalization, arXiv:1502.03167.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from trainkit.config.fields import setting
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
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

    filters: tuple[int, ...] = setting(
        (32, 64, 64),
        "convolutions of 3x3, each followed by batch normalization and 2x2 pooling",
        at_least=1,
        example="[32,64,64]",
    )
    units: tuple[int, ...] = setting((128,), "hidden layers", at_least=1, example="[128]")
    dropout: float = setting(0.4, "rate after each hidden layer", at_least=0, below=1)

    def model(self, train: Arrays) -> keras.Model:
        side = min(train.x.shape[1:3])
        if side >> len(self.filters) == 0:
            raise UserError(
                f"task.filters={list(self.filters)}: each pooling halves images of {side} pixels; expected "
                f"at most {side.bit_length() - 1} convolutions."
            )
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
