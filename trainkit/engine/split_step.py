"""A step whose batch is trained in several parts: one per replica, and one per micro-batch on each of them.

The sum over all parts is the gradient of the loss of the whole batch, as one device would compute it in one
piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.replica import replica
from trainkit.core.task import Task
from trainkit.core.tree import Structure
from trainkit.engine.inputs import gather
from trainkit.engine.loss_parts import LossParts
from trainkit.engine.objective import computed

__all__ = ["SplitStep", "replica_share"]


def replica_share(rows: int, replicas: int, index: int) -> tuple[int, int]:
    """The part `(begin, count)` of `rows` rows that a replica trains: as even as can be, each row in exactly
    one part.

    Args:
        rows: Rows of the batch, >= 1.
        replicas: Number of replicas, >= 1.
        index: Number of the replica, from 0.
    """
    begin = rows * index // replicas
    end = rows * (index + 1) // replicas
    return begin, end - begin


@dataclass(frozen=True)
class SplitStep:
    """The step of a batch in parts.

    Args:
        task: Gives the objective, if it overrides `compute`.
        model: Compiled model with built optimizer and metrics.
        micro_rows: Rows of a micro-batch over all replicas.
        own_objective: Whether the task overrides `compute`; its loss is then taken for a mean over rows.
        reduce_first: Sum the gradients over the replicas before the optimizer sees them, so that clipping and
            the check for finite gradients work on the gradient of the global batch. Else Keras's order: each
            replica clips its own.
        dynamic_divisors: How many losses of a forward pass have a divisor that depends on the data (masks,
            weights).
    """

    task: Task
    model: keras.Model
    micro_rows: int
    own_objective: bool = False
    reduce_first: bool = True
    dynamic_divisors: int = 0

    def is_whole(self, size: int) -> bool:
        """Whether one replica trains a batch of `size` rows in one piece."""
        return replica().count == 1 and size <= self.micro_rows

    def part(
        self, tensors: Structure, rows: tf.Tensor, begin: Any, count: int, zero: tf.Tensor | None
    ) -> Structure:
        """The batch of `count` of the given rows, from `begin` on."""
        size = count if zero is None else count + zero
        return gather(tensors, tf.slice(rows, [begin], [size]))

    def train(self, tensors: Structure, rows: tf.Tensor, size: int, zero: tf.Tensor | None) -> None:
        """Train on a global batch of `size` rows; arguments as of `TrainStep.train`."""
        whole, rest = divmod(size, self.micro_rows)
        pieces = [(i * self.micro_rows, self.micro_rows) for i in range(whole)]
        pieces += [(whole * self.micro_rows, rest)] if rest else []
        statistics = self._statistics()
        before = [tf.identity(v) for v in statistics]
        totals = self._totals(tensors, rows, pieces, size, zero) if len(pieces) > 1 else None

        def gradients(begin: Any, count: int) -> list[Any]:
            return self._gradients(tensors, rows, begin, count, size, totals, zero)

        summed = self._sum_over(pieces, gradients)
        trained = sum(_own(count)[1] for _, count in pieces)
        moves = [(v - b) * (trained / size) for v, b in zip(statistics, before, strict=True)]
        self._apply(summed, statistics, moves, before)

    def _sum_over(self, pieces: list[tuple[int, int]], gradients: Any) -> list[Any]:
        """Sum of the gradients of all micro-batches: a loop over the equal ones, or one after the other if
        any is sparse."""
        first: list[Any] = gradients(*pieces[0])
        equal = sum(count == pieces[0][1] for _, count in pieces)
        if equal <= 2 or any(isinstance(g, tf.IndexedSlices) for g in first):
            total = first
            for begin, count in pieces[1:]:
                total = _add_all(total, gradients(begin, count))
            return total
        present = [g is not None for g in first]

        def body(i: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            more = gradients(i * self.micro_rows, self.micro_rows)
            known = [g for g in more if g is not None]
            return (i + 1, *(s + g for s, g in zip(sums, known, strict=True)))

        state = (tf.constant(1), *(g for g in first if g is not None))
        sums = list(tf.while_loop(lambda i, *_: i < equal, body, state, parallel_iterations=1)[1:])
        total = [sums.pop(0) if is_present else None for is_present in present]
        for row, count in pieces[equal:]:
            total = _add_all(total, gradients(row, count))
        return total

    def _gradients(
        self,
        tensors: Structure,
        rows: tf.Tensor,
        begin: Any,
        count: int,
        size: int,
        totals: tf.Tensor | None,
        zero: tf.Tensor | None,
    ) -> list[Any]:
        """Gradients of one micro-batch's share of the loss, on this replica's rows of it; updates the
        metrics.

        A replica without rows borrows one that weighs nothing, so that all replicas take part in the same
        reductions.
        """
        offset, mine = _own(count)
        kept = [] if mine else [(v, tf.identity(v)) for v in self.model.metrics_variables]
        batch = self.part(tensors, rows, begin + offset, max(mine, 1), zero)
        with tf.GradientTape() as tape:
            loss, outputs = self._objective(batch, LossParts(mine, size, totals), training=True)
            share = loss if mine == size else loss * tf.cast(mine / size, loss.dtype)
            scaled = self.model.optimizer.scale_loss(share)
        grads = tape.gradient(scaled, self.model.trainable_weights)
        if mine:
            self._measure(loss, batch, outputs, mine)
        for variable, value in kept:
            variable.assign(value)
        return list(grads)

    def _objective(self, batch: Structure, parts: LossParts, *, training: bool) -> tuple[Any, Any]:
        if self.own_objective:
            return computed(self.task, self.model, batch, training)
        x, y, weight = compat.unpack_batch(batch)
        with parts.active():
            outputs = self.model(x, training=training)
            loss = compat.model_loss(self.model, x, y, outputs, weight, training)
        return loss, outputs

    def _totals(
        self,
        tensors: Structure,
        rows: tf.Tensor,
        pieces: list[tuple[int, int]],
        size: int,
        zero: tf.Tensor | None,
    ) -> tf.Tensor | None:
        """The divisors of the whole batch, for losses whose divisor depends on the data: one forward pass
        over all parts.

        Only what the divisors need of it is ever run; what it changes (a recurrent state) is put back.
        """
        if not self.dynamic_divisors:
            return None
        state = [*self.model.non_trainable_variables, *self.model.metrics_variables]
        before = [tf.identity(v) for v in state]
        total = tf.zeros([self.dynamic_divisors])
        for begin, count in pieces:
            offset, mine = _own(count)
            parts = LossParts(mine, size, counting=True)
            batch = self.part(tensors, rows, begin + offset, max(mine, 1), zero)
            self._objective(batch, parts, training=False)
            total += tf.stack(parts.divisors)
        for variable, value in zip(state, before, strict=True):
            variable.assign(value)
        if replica().count > 1:
            total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, total)
        return total

    def _statistics(self) -> list[tf.Variable]:
        """What the forward pass itself changes, such as the averages of BatchNormalization, if each replica
        has its own copy."""
        if not self.reduce_first or replica().count == 1:
            return []
        return [v.value for v in compat.layer_statistics(self.model) if "float" in v.dtype]

    def _apply(
        self, grads: list[Any], statistics: list[tf.Variable], moves: list[Any], before: list[Any]
    ) -> None:
        """Update the weights. Statistics move by the mean over the replicas, so that all copies stay
        equal."""
        if self.reduce_first and replica().count > 1:
            known = [g for g in grads if g is not None]
            context = tf.distribute.get_replica_context()
            summed = list(context.all_reduce(tf.distribute.ReduceOp.SUM, known + moves))
            grads = [None if g is None else summed.pop(0) for g in grads]
            for variable, old, move in zip(statistics, before, summed, strict=True):
                variable.assign(old + move)
        self.model.optimizer.apply(grads, self.model.trainable_weights)

    def evaluate(self, tensors: Structure, rows: tf.Tensor, size: int, zero: tf.Tensor | None) -> None:
        """Add this replica's part of a global batch to the metrics."""
        offset, mine = _own(size)
        kept = [] if mine else [(v, tf.identity(v)) for v in self.model.metrics_variables]
        batch = self.part(tensors, rows, offset, max(mine, 1), zero)
        loss, outputs = self._objective(batch, LossParts(mine, size), training=False)
        if mine:
            self._measure(loss, batch, outputs, mine)
        for variable, value in kept:
            variable.assign(value)

    def _measure(self, loss: tf.Tensor, batch: Structure, outputs: Any, rows: int) -> None:
        x, y, weight = compat.unpack_batch(batch)
        compat.loss_tracker(self.model).update_state(loss, sample_weight=tf.constant(rows))
        self.model.compute_metrics(x, y, outputs, sample_weight=weight)


def _own(rows: int) -> tuple[int, int]:
    """This replica's part of a batch, where the begin is a row that exists even if the part is empty."""
    here = replica()
    begin, mine = replica_share(rows, here.count, here.index)
    return min(begin, rows - 1), mine


def _add_all(a: list[Any], b: list[Any]) -> list[Any]:
    return [_add(x, y) for x, y in zip(a, b, strict=True)]


def _add(a: Any, b: Any) -> Any:
    """Sum of two gradients; sparse ones stay sparse, as one large batch would have them."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, tf.IndexedSlices) and isinstance(b, tf.IndexedSlices):
        values = tf.concat([a.values, b.values], 0)
        indices = tf.concat([a.indices, b.indices], 0)
        return tf.IndexedSlices(values, indices, a.dense_shape)
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)
