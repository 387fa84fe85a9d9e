"""What a step of a model's own returns is what callbacks see after a batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from tests.support.toys import Toy
from trainkit.core.datasets import Arrays

X = np.random.default_rng(0).random((24, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


class Own(keras.Model):
    """Its steps return a loss that no metric knows, by the name of the metric."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}

    def test_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        return {"loss": self.compute_loss(x, y, self(x))}


class Seen(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.logs: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.logs.append((batch, pytest.approx(logs["loss"], rel=1e-4)))

    on_test_batch_end = on_train_batch_end

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs.append({name: pytest.approx(value, abs=1e-6) for name, value in logs.items()})


def batches(x: Any, y: Any) -> dict[str, Any]:
    return {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(4)}


def arrays(x: Any, y: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "batch_size": 4, "shuffle": False}


def trained(fit: Any, executed: int, callbacks: list[Any], given: dict[str, Any]) -> Any:
    keras.utils.set_random_seed(1)
    model = Own()
    model.compile("sgd", "mse", steps_per_execution=executed)
    return fit(model, **given, epochs=2, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("given", [batches, arrays])
@pytest.mark.parametrize("executed", [1, 3])
def test_a_batch_logs_what_its_step_returned(executed: int, given: Any) -> None:
    mine, theirs = Seen(), Seen()
    validated = {"validation_data": (X[:9], Y[:9])}
    trained(tk.fit, executed, [mine], given(X, Y) | validated)
    trained(keras.Model.fit, executed, [theirs], given(X, Y) | validated)
    assert mine.logs == theirs.logs


def test_a_loss_that_only_the_step_knows_ends_a_training() -> None:
    y = np.where(np.arange(24)[:, None] < 12, Y, np.nan)
    ended = trained(tk.fit, 1, [keras.callbacks.TerminateOnNaN()], batches(X, y))
    assert ended.epoch == [0]


class Measured(keras.Model):
    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        return dict(super().compute_metrics(x, y, y_pred, sample_weight))


class MeasuredToy(Toy):
    def model(self, train: Arrays) -> keras.Model:
        x = keras.Input((6,))
        return Measured(x, keras.layers.Dense(3, "softmax")(x))


@pytest.mark.parametrize("settings", [{"accumulate": 2}, {"strategy": "mirrored", "replicas": 2}])
def test_batches_in_parts_log_their_metrics(settings: dict[str, Any]) -> None:
    seen = Seen()
    trainer = tk.Trainer(epochs=1, batch_size=16, callbacks=[seen], progress="none", **settings)
    trainer.fit(MeasuredToy())
    assert len(seen.logs) > 5
