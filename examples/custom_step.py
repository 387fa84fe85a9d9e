"""A training step of your own, by a task and by a Keras model: R-Drop.

Each row goes through the network twice, with two dropout masks, and the loss also holds how far the two
answers are apart; X. Liang et al.: R-Drop: Regularized Dropout for Neural Networks, arXiv:2106.14448.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from sklearn.datasets import load_digits

import trainkit as tk
from trainkit import Arrays, Splits, Task
from trainkit.data import holdout


def network(kind: type[keras.Model] = keras.Model) -> keras.Model:
    x = inputs = keras.Input((64,))
    for _ in range(2):
        x = keras.layers.Dense(128, "relu")(x)
        x = keras.layers.Dropout(0.3)(x)
    return kind(inputs, keras.layers.Dense(10, "softmax", dtype="float32")(x))


def apart(one: Any, other: Any) -> Any:
    """How far two lists of probabilities `[B, C]` are apart, as a mean over the rows."""
    divergence = keras.losses.kl_divergence
    return tf.reduce_mean(divergence(one, other) + divergence(other, one)) / 2


@dataclass(frozen=True)
class Digits(Task):
    """scikit-learn's digits by R-Drop. Overriding `compute` is all: the task still trains in each mode of
    execution, on replicas, in half precision, and through `model.fit`.

    Args:
        weight: Of the distance between two answers.
    """

    weight: float = 1.0

    def data(self) -> Splits:
        digits = load_digits()
        rows = Arrays(digits.data.astype("float32") / 16, digits.target)
        train, test = holdout(rows, 0.2, seed=0)
        train, validation = holdout(train, 0.2, seed=1)
        return Splits(train, validation, test)

    def model(self, train: Arrays) -> keras.Model:
        return network()

    def loss(self) -> keras.losses.Loss:
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]

    def compute(self, model: keras.Model, batch: tuple[Any, ...], training: bool) -> tuple[Any, Any]:
        loss, outputs = super().compute(model, batch, training)
        if training:
            loss += self.weight * apart(outputs, model(batch[0], training=True))
        return loss, outputs


class RDrop(keras.Model):
    """The same as a Keras model with its own `train_step`, for `tk.fit`."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, weight) + apart(outputs, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return self.compute_metrics(x, y, outputs, weight)


def main(epochs: int = 20) -> dict[str, float]:
    task = Digits()
    trainer = tk.Trainer(epochs=epochs, batch_size=64, progress="auto")
    trainer.fit(task)
    results = trainer.evaluate()

    splits = task.data()
    model = network(RDrop)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    tk.fit(model, splits.train.x, splits.train.y, batch_size=64, epochs=epochs, verbose=0)
    accuracy = model.evaluate(splits.test.x, splits.test.y, verbose=0)[1]
    print(f"Test accuracy: {results['accuracy']:.4f} by the task, {accuracy:.4f} by the model.")
    return results


if __name__ == "__main__":
    main()
