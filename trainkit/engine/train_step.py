"""One optimizer step and one evaluation step, as they run inside a replica. Pure graph code."""

from __future__ import annotations

import math
import types
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement
from trainkit.backend.precision import inner_optimizer, learning_rate, loss_scale
from trainkit.backend.replica import replica
from trainkit.core.task import Task
from trainkit.core.tree import Structure
from trainkit.engine.inputs import gather_apart, keras_batch
from trainkit.engine.log_layout import LogLayout
from trainkit.engine.objective import computed, own_objective
from trainkit.engine.split_step import SplitStep

__all__ = ["TrainStep", "task_steps"]


@dataclass(frozen=True)
class TrainStep:
    """The steps of one task and model.

    A batch that one replica trains in one piece goes through the model's own `train_step`, so that whatever
    `model.fit` trains is trained here, by the same code. A batch in several parts (replicas, micro-batches)
    goes through `SplitStep`.

    Args:
        model: Compiled model with built optimizer and metrics.
        split: The step of a batch in several parts.
        train_logs: What a training step logs.
        test_logs: What an evaluation step logs.
        overwrite_every: Steps after which the average weights become the weights, under several replicas,
            where Keras's own way fails; None: never, or Keras does it.
        host_resets: Whether the host resets the metrics: a model that does it in its own way.
        as_they_came: Whether training batches are handed on in the structure they came in; else those of
            arrays `(x,)` lose their tuple, as in Keras.
    """

    model: keras.Model
    split: SplitStep
    train_logs: LogLayout
    test_logs: LogLayout
    overwrite_every: int | None = None
    host_resets: bool = False
    as_they_came: bool = False

    def train(
        self, tensors: Structure, rows: tf.Tensor, size: int, zero: tf.Tensor | None, direct: bool = False
    ) -> tf.Tensor:
        """Train on the global batch of the given rows: forward, backward, update, metrics.

        Args:
            tensors: All rows that the call may read.
            rows: Which of them are the batch, `[size]`.
            size: Rows of the batch.
            zero: A number 0 that only the run knows, to hide the number of rows from the graph; None: it may
                know.

        Returns:
            What the step logged, packed by `train_logs`, if that is logged; else an empty vector.
        """
        if not self.split.is_whole(size):
            self.split.train(tensors, rows, size, zero)
            return tf.zeros([0], self.train_logs.dtype)
        batch = tensors if direct else self._whole(tensors, rows, size, zero)
        logs = self.model.train_step(batch if self.as_they_came else keras_batch(batch))
        return self._logged(logs, self.train_logs)

    def evaluate(self, tensors: Structure, rows: tf.Tensor, size: int, zero: tf.Tensor | None) -> tf.Tensor:
        """Add a global batch to the metrics; each row counts once, whatever the number of replicas. Arguments
        as of `train`."""
        if replica().count > 1:
            self.split.evaluate(tensors, rows, size, zero)
            return tf.zeros([0], self.test_logs.dtype)
        logs = self.model.test_step(keras_batch(self._whole(tensors, rows, size, zero)))
        return self._logged(logs, self.test_logs)

    def _whole(self, tensors: Structure, rows: tf.Tensor, size: int, zero: tf.Tensor | None) -> Structure:
        """A batch in one piece; with a hidden number of rows, `rows` are as many as there are."""
        if zero is None:
            return self.split.part(tensors, rows, 0, size, zero)
        return gather_apart(tensors, rows, zero)

    @staticmethod
    def _logged(logs: Any, layout: LogLayout) -> tf.Tensor:
        return layout.pack(logs) if layout.step_width else tf.zeros([0], layout.dtype)

    def after(self) -> None:
        """What follows a step outside of the replicas: average weights that become the weights."""
        if self.overwrite_every:
            inner = inner_optimizer(self.model.optimizer)
            made = tf.convert_to_tensor(inner.iterations)
            due = (made > 0) & tf.equal(made % self.overwrite_every, 0)

            def overwrite() -> tf.Operation:
                compat.overwrite_with_average(inner)
                return tf.no_op()

            tf.cond(due, overwrite, tf.no_op)

    def rates(self) -> tf.Tensor:
        """Learning rate, NaN where it is not known, and loss scale, zero where there is none."""
        optimizer = self.model.optimizer
        rate = learning_rate(optimizer)
        scaled = loss_scale(optimizer)
        scale = 0.0 if scaled is None else scaled.dynamic_scale.value
        return tf.stack([tf.cast(math.nan if rate is None else rate, tf.float32), tf.cast(scale, tf.float32)])

    def updates(self) -> tf.Tensor:
        """Updates that the optimizer has made: skipped float16 steps do not count."""
        if loss_scale(self.model.optimizer) is None:
            return tf.constant(0, tf.int64)
        return tf.cast(tf.convert_to_tensor(inner_optimizer(self.model.optimizer).iterations), tf.int64)


def task_steps(task: Task, model: keras.Model) -> list[Replacement]:
    """The model's steps around the task's `compute`, if the task overrides it; a model's own steps stay its
    own."""
    if not own_objective(task):
        return []

    def train_step(self: keras.Model, data: Any) -> Any:
        data = data if isinstance(data, tuple) else (data,)
        with tf.GradientTape() as tape:
            loss, outputs = computed(task, self, data, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        return measure(self, data, loss, outputs)

    def test_step(self: keras.Model, data: Any) -> Any:
        data = data if isinstance(data, tuple) else (data,)
        loss, outputs = computed(task, self, data, training=False)
        return measure(self, data, loss, outputs)

    return [
        Replacement(model, "train_step", types.MethodType(train_step, model)),
        Replacement(model, "test_step", types.MethodType(test_step, model)),
    ]


def measure(model: keras.Model, data: Any, loss: Any, outputs: Any) -> Any:
    """Update the loss tracker, weighted by rows, and the metrics of a batch; returns the results."""
    x, y, weight = compat.unpack_batch(data)
    rows = tf.shape(tf.nest.flatten(x)[0])[0]
    compat.loss_tracker(model).update_state(loss, sample_weight=rows)
    return model.compute_metrics(x, y, outputs, sample_weight=weight)
