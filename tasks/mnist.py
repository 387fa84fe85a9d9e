"""Handwritten digits by a dense network: the recipe that everything else is compared with.

Data: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition.
Proceedings of the IEEE 86(11), 1998; 60,000 training and 10,000 test images.

Recipe: two hidden layers of 512 units with dropout under RMSprop, the perceptron of Keras's examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from trainkit.config import validate_task
from trainkit.config.fields import setting
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.data.sources.keras_datasets import MNIST as DIGITS
from trainkit.data.sources.keras_datasets import load
from trainkit.data.splits import holdout

__all__ = ["MNIST"]


@dataclass(frozen=True)
class MNIST(Task):
    """Digits: images `[B, 28, 28]` uint8 to probabilities `[B, 10]`; labels are one-hot.

    Args:
        units: Units of each hidden layer.
        dropout: Share of the units that each hidden layer drops, from 0 to less than 1.
        source: `mnist`, `embedded` (the digits that scikit-learn ships) or `auto`: the first that is there.
        dir: Folder with `mnist.npz`; None: Keras's cache, then a download.
        validation: Share of the training rows held out for validation.
        seed: Of the validation split; the test rows are always the same.
    """

    units: tuple[int, ...] = setting((512, 512), "hidden layers", at_least=1, example="[512,512]")
    dropout: float = setting(0.2, "rate after each hidden layer", at_least=0, below=1)
    source: str = "auto"
    dir: str | None = None
    validation: float = 0.2
    seed: int = setting(0, "seed of the validation split", at_least=0)

    def __post_init__(self) -> None:
        validate_task(self)

    def data(self) -> Splits:
        rows, source = load(DIGITS, self.source, self.dir)
        one_hot = np.eye(10, dtype=np.float32)
        train = Arrays(rows["x_train"], one_hot[rows["y_train"]])
        test = Arrays(rows["x_test"], one_hot[rows["y_test"]])
        train, validation = holdout(train, self.validation, self.seed, stratify=rows["y_train"])
        return Splits(train, validation, test, source)

    def model(self, train: Arrays) -> keras.Model:
        model = keras.Sequential(
            [keras.Input(train.x.shape[1:]), layers.Flatten(), layers.Rescaling(1 / 255)]
        )
        for units in self.units:
            model.add(layers.Dense(units, activation="relu"))
            model.add(layers.Dropout(self.dropout))
        model.add(layers.Dense(10, activation="softmax", dtype="float32"))  # also in mixed precision
        return model

    def loss(self) -> keras.losses.Loss:
        return keras.losses.CategoricalCrossentropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.RMSprop()

    def monitor(self) -> str:
        return "val_accuracy"
