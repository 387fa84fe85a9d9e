"""One optimizer step and one evaluation step, as they run inside a replica. Pure graph code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import precision, replica
from trainkit.core.task import Task
from trainkit.engine.inputs import Feed

SCALE_FLOOR = 2.0**-14  # a float16 loss scale below this means that the gradients overflow for another reason


@dataclass(frozen=True)
class Step:
    """The steps of one task and model.

    Args:
        batch_size: Rows of a micro-batch over all replicas.
        reduce_first: Sum the gradients over the replicas before the optimizer sees them, so that clipping and the check for finite
            gradients work on the gradient of the global batch. Else Keras's order: clip each replica's own, then sum.
        average_every: Steps after which the average weights become the weights, under several replicas, where Keras itself cannot do it.
        hide_rows: Trace with an unknown number of rows, as `model.fit` does. Keras weighs the batches in the mean of each output's loss
            by their rows only where it knows them, so this makes it as wrong as there; not under XLA, which needs every shape.
    """

    task: Task
    model: keras.Model
    batch_size: int
    reduce_first: bool = True
    hide_rows: bool = False
    average_every: int | None = None

    def train(self, feed: Feed, fetched: Any, size: int) -> None:
        """Train on a global batch of `size` rows: forward, backward, update, metrics.

        The batch is cut into micro-batches of `batch_size` rows whose gradients are summed. The loss of each is weighted by its share
        of the rows, so that the sum over micro-batches and replicas is the gradient of the mean over the whole batch.
        """
        whole, rest = divmod(size, self.batch_size)
        statistics = self._statistics()
        before = [tf.identity(v) for v in statistics]
        pieces: list[tuple[Any, int]] = [(0, self.batch_size)] if whole else []
        if whole <= 1:
            pieces += [(whole * self.batch_size, rest)] if rest else []
            grads = [self._gradients(feed, fetched, begin, rows, size) for begin, rows in pieces]
            total = grads[0] if len(grads) == 1 else [_add(a, b) for a, b in zip(*grads, strict=True)]
        else:
            total = self._accumulate(feed, fetched, whole, rest, size)
        mine = whole * _own_rows(self.batch_size)[1] + (_own_rows(rest)[1] if rest else 0)
        self._apply(
            total,
            statistics,
            [(v - b) * (mine / size) for v, b in zip(statistics, before, strict=True)],
            before,
        )

    def _accumulate(self, feed: Feed, fetched: Any, whole: int, rest: int, size: int) -> list[Any]:
        first = [_dense(g) for g in self._gradients(feed, fetched, 0, self.batch_size, size)]
        trained = [g is not None for g in first]

        def body(i: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            more = self._gradients(feed, fetched, i * self.batch_size, self.batch_size, size)
            return (
                i + 1,
                *(s + _dense(g) for s, g in zip(sums, [g for g in more if g is not None], strict=True)),
            )

        sums = list(
            tf.while_loop(
                lambda i, *_: i < whole,
                body,
                [tf.constant(1), *(g for g in first if g is not None)],
                parallel_iterations=1,
            )[1:]
        )
        total = [sums.pop(0) if t else None for t in trained]
        if rest:
            total = [
                _add(a, b)
                for a, b in zip(
                    total, self._gradients(feed, fetched, whole * self.batch_size, rest, size), strict=True
                )
            ]
        return total

    def _gradients(self, feed: Feed, fetched: Any, begin: Any, rows: int, size: int) -> list[Any]:
        """Gradients of one micro-batch's share of the loss, on this replica's rows of it; updates the metrics."""
        offset, mine = _own_rows(rows)
        batch = self._shown(feed.part(fetched, begin + offset, max(mine, 1)))
        with tf.GradientTape() as tape:
            loss, outputs = self.task.compute(self.model, batch, training=True)
            objective = loss if mine == size else loss * tf.cast(mine / size, loss.dtype)
            objective = self.model.optimizer.scale_loss(objective)
        grads = tape.gradient(objective, self.model.trainable_weights)
        if mine:
            self._measure(loss, batch, outputs, mine)
        return grads

    def _statistics(self) -> list[tf.Variable]:
        """What the forward pass itself changes, such as the moving averages of BatchNormalization, if each replica has its own copy of it."""
        if not self.reduce_first or replica.replica()[0] == 1:
            return []
        own = {id(v): v for layer in self.model._flatten_layers() for v in layer._non_trainable_variables}
        return [v.value for v in own.values() if "float" in v.dtype]

    def _apply(
        self, grads: list[Any], statistics: list[tf.Variable], moves: list[Any], before: list[Any]
    ) -> None:
        """Update the weights; statistics move by the mean over the replicas, so that all copies stay equal, which Keras leaves apart."""
        if self.reduce_first and replica.replica()[0] > 1:
            known = [g for g in grads if g is not None]
            summed = list(
                tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, known + moves)
            )
            grads = [None if g is None else summed.pop(0) for g in grads]
            for variable, old, move in zip(statistics, before, summed, strict=True):
                variable.assign(old + move)
        self.model.optimizer.apply(grads, self.model.trainable_weights)

    def after(self) -> None:
        """What follows a step outside of the replicas: the floor of the loss scale, and the average weights that become the weights."""
        optimizer = self.model.optimizer
        scaled = precision.loss_scale(optimizer)
        if scaled is not None:
            scaled.dynamic_scale.assign(tf.maximum(scaled.dynamic_scale.value, SCALE_FLOOR))
        if self.average_every:
            inner = optimizer.inner_optimizer if scaled is not None else optimizer
            made = inner.iterations.value
            due = (made > 0) & tf.equal(made % self.average_every, 0)
            tf.cond(
                due,
                lambda: _effect(
                    lambda: inner._overwrite_model_variables_with_average_value(inner._trainable_variables)
                ),
                tf.no_op,
            )

    def evaluate(self, feed: Feed, fetched: Any, size: int) -> None:
        """Add a global batch of `size` rows to the metrics; each row counts once, whatever the number of replicas."""
        offset, mine = _own_rows(size)
        if mine:
            batch = self._shown(feed.part(fetched, offset, mine))
            loss, outputs = self.task.compute(self.model, batch, training=False)
            self._measure(loss, batch, outputs, mine)

    def _shown(self, batch: Any) -> Any:
        if not self.hide_rows:
            return batch
        # All rows, by an index whose length only the run knows: nothing simpler stays hidden from the graph's constant folding.
        column = tf.reshape(tf.nest.flatten(batch)[0], [batch_rows(batch), -1])[:, 0]
        rows = tf.squeeze(tf.where(tf.equal(column, column)), 1)
        return tf.nest.map_structure(lambda t: tf.gather(t, rows), batch)

    def _measure(self, loss: tf.Tensor, batch: Any, outputs: Any, rows: int) -> None:
        x, y, weight = (*batch, None)[:3]
        self.model._loss_tracker.update_state(loss, sample_weight=tf.constant(rows))
        self.model.compute_metrics(x, y, outputs, sample_weight=weight)


def batch_rows(batch: Any) -> int:
    """The static number of rows of a batch."""
    return int(tf.nest.flatten(batch)[0].shape[0])


def _own_rows(rows: int) -> tuple[int, int]:
    """Where this replica's part of a batch begins, and its length: as even as can be. A replica without rows borrows one that weighs nothing."""
    replicas, number = replica.replica()
    begin, end = rows * number // replicas, rows * (number + 1) // replicas
    return min(begin, rows - 1), end - begin


def _effect(function: Callable[[], Any]) -> tf.Operation:
    function()
    return tf.no_op()


def _dense(grad: Any) -> Any:
    return None if grad is None else tf.convert_to_tensor(grad)


def _add(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else _dense(a) + _dense(b)


def trace_only(function: Callable[..., Any], *arguments: Any) -> Any:
    """Shapes of `function(*arguments)` on symbolic tensors, with no effect on any variable; builds what is not built yet."""
    return keras.src.backend.compute_output_spec(function, *arguments)
