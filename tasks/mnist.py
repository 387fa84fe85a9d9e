"""Handwritten digits by a dense network: the recipe that everything else is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.data.sources.keras_datasets import MNIST as DIGITS
from trainkit.data.sources.keras_datasets import load
from trainkit.data.splits import holdout


@dataclass(frozen=True)
class MNIST(Task):
    """Digits: images [B, 28, 28] uint8 -> probabilities [B, 10]; labels one-hot."""

    units: tuple[int, ...] = (512, 512)
    dropout: float = 0.2
    source: str = "auto"  # auto | mnist | embedded
    dir: str | None = None  # folder with mnist.npz
    validation: float = 0.2  # share of the training rows
    seed: int = 0  # of the validation split

    def data(self) -> Splits:
        rows, source = load(DIGITS, self.source, self.dir)
        one_hot = np.eye(10, dtype=np.float32)
        train = Arrays(rows["x_train"], one_hot[rows["y_train"]])
        test = Arrays(rows["x_test"], one_hot[rows["y_test"]])
        train, validation = holdout(train, self.validation, self.seed, stratify=rows["y_train"])
        return Splits(train, validation, test, source)

    def model(self, train: Arrays) -> keras.Model:
        model = keras.Sequential(
            [keras.Input(train.x.shape[1:]), keras.layers.Flatten(), keras.layers.Rescaling(1 / 255)]
        )
        for units in self.units:
            model.add(keras.layers.Dense(units, activation="relu"))
            model.add(keras.layers.Dropout(self.dropout))
        model.add(
            keras.layers.Dense(10, activation="softmax", dtype="float32")
        )  # float32 also in mixed precision
        return model

    def loss(self) -> keras.losses.Loss:
        return keras.losses.CategoricalCrossentropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.RMSprop()

    def monitor(self) -> str:
        return "val_accuracy"
