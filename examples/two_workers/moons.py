"""A task of your own that two processes train together; `moons.yaml` names it for the command."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from sklearn.datasets import make_moons

from trainkit import Arrays, Splits, Task
from trainkit.data import holdout


@dataclass(frozen=True)
class Moons(Task):
    """Two half circles, apart but for the noise.

    Args:
        rows: In all.
        noise: Standard deviation of what is added to each row.
    """

    rows: int = 4000
    noise: float = 0.2

    def data(self) -> Splits:
        x, y = make_moons(self.rows, noise=self.noise, random_state=0)
        train, test = holdout(Arrays(x.astype("float32"), y), 0.2, seed=0)
        train, validation = holdout(train, 0.2, seed=1)
        return Splits(train, validation, test)

    def model(self, train: Arrays) -> keras.Model:
        hidden = [keras.layers.Dense(32, "relu") for _ in range(2)]
        return keras.Sequential(
            [keras.Input((2,)), *hidden, keras.layers.Dense(2, "softmax", dtype="float32")]
        )

    def loss(self) -> keras.losses.Loss:
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]
