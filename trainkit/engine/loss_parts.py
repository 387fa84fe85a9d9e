"""How the loss of a part of a batch counts in the loss of the whole batch, as Keras reduces it.

A batch is trained in parts: one per replica, one per micro-batch. Keras divides a loss by its number of
values, by its unmasked values, by the sum of its weights, or not at all; only the first is the same share in
each part. The functions here give each part the value `v` with `sum(v * rows of the part) / rows of the batch
= loss of the whole batch`, exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement
from trainkit.core.errors import UserError

__all__ = ["LossParts", "loss_part_metrics", "loss_part_reduction"]

_current = threading.local()


def loss_part_reduction() -> list[Replacement]:
    """Keras's reduction of losses, weighed by the `LossParts` that is active in the thread, if any."""
    usual = compat.losses.reduce_weighted_values

    def reduce(
        values: Any,
        sample_weight: Any = None,
        mask: Any = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> tf.Tensor:
        parts: LossParts | None = getattr(_current, "parts", None)
        if isinstance(sample_weight, (tuple, list)) and len(sample_weight) == 1:
            (sample_weight,) = (
                sample_weight  # for one output; Keras makes a tensor [1, N] of it, with the same sum
            )
        if parts is not None and parts.counting and sample_weight is not None:
            _check_weights(values.shape, sample_weight.shape)
        local = usual(values, sample_weight=sample_weight, mask=mask, reduction=reduction, dtype=dtype)
        return local if parts is None else parts.weigh(local, sample_weight, mask, reduction)

    return [Replacement(compat.losses, "reduce_weighted_values", reduce)]


def loss_part_metrics(model: keras.Model, rows: int | None) -> list[Replacement]:
    """The loss of each output as the mean over the batches of an epoch, as `model.fit` logs it.

    Args:
        model: The model.
        rows: Of each batch, where Keras's graph knows them, and weighs by them; None: a batch weighs 1.
    """
    compiled = compat.compiled_losses(model)
    return [
        Replacement(metric, "update_state", _per_batch(metric, rows))
        for metric in getattr(compiled, "metrics", [])
    ]


def _per_batch(metric: keras.metrics.Metric, rows: int | None) -> Callable[..., Any]:
    """`update_state` of a mean in which each batch weighs the same, and a part of one its share."""

    def update(value: Any, sample_weight: Any = None) -> Any:
        parts: LossParts | None = getattr(_current, "parts", None)
        whole = parts is None or parts.rows == parts.batch_rows
        weight = rows if parts is None or whole else parts.rows / parts.batch_rows
        return type(metric).update_state(metric, value, sample_weight=weight)

    return update


@dataclass
class LossParts:
    """Takes the place of Keras's reduction of losses while one part of a batch is traced.

    Args:
        rows: Rows of the part; 0 for a replica without rows.
        batch_rows: Rows of the whole batch.
        totals: Divisors of the whole batch `[n]`, for the losses that have one that depends on the data, in
            the order in which the forward pass computes them; None: sum them over the replicas when they are
            met.
        counting: Only note the divisors of this part, and refuse weights that do not fit its losses.
    """

    rows: int
    batch_rows: int
    totals: tf.Tensor | None = None
    counting: bool = False
    divisors: list[tf.Tensor] = field(default_factory=list)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Weigh the losses that this thread traces in the block; replicas are traced in threads of their
        own."""
        _current.parts = self
        try:
            yield
        finally:
            _current.parts = None

    def weigh(self, local: tf.Tensor, sample_weight: Any, mask: Any, reduction: str | None) -> tf.Tensor:
        """The value of a loss that Keras reduced to `local` over this part alone."""
        if reduction in (None, "none") or (self.batch_rows == self.rows and not self.counting):
            return local
        share = self.batch_rows / self.rows if self.rows else 0.0
        if reduction == "sum":
            return local * tf.cast(share, local.dtype)
        divisor = _divisor(sample_weight, mask, reduction)
        if divisor is None:  # the number of values, the same for each row
            return local
        whole = self._whole(divisor)
        if self.counting:
            return local
        return local * tf.cast(share * tf.math.divide_no_nan(divisor, whole), local.dtype)

    def _whole(self, divisor: tf.Tensor) -> tf.Tensor:
        divisor = tf.stop_gradient(divisor if self.rows else tf.zeros_like(divisor))
        number = len(self.divisors)
        self.divisors.append(divisor)
        if self.counting:
            return divisor
        if self.totals is not None:
            return self.totals[number]
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, divisor)


def _divisor(sample_weight: Any, mask: Any, reduction: str | None) -> tf.Tensor | None:
    """What Keras divides a sum of losses by, if that depends on the data: unmasked values, or the sum of the
    weights."""
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        weight = tf.cast(sample_weight, tf.float32)
        if mask is not None:
            mask = tf.cast(mask, tf.float32)
            weight = weight[..., None] if weight.shape.rank < mask.shape.rank else weight
            weight = weight * mask
        return tf.reduce_sum(weight)
    return None if mask is None else tf.reduce_sum(tf.cast(mask, tf.float32))


def _check_weights(losses: tf.TensorShape, weights: tf.TensorShape) -> None:
    """Refuse weights that do not fit the losses row by row.

    Raises:
        UserError: naming both shapes.
    """
    if not losses.rank or not weights.rank:  # one number goes with all
        return
    loss, weight = list(losses[1:]), list(weights[1:])
    if len(loss) == len(weight) + 1 and loss[-1] == 1:
        loss.pop()
    elif len(weight) == len(loss) + 1 and weight[-1] == 1:
        weight.pop()
    fits = len(loss) == len(weight) and all(
        1 in (a, b) or None in (a, b) or a == b for a, b in zip(loss, weight, strict=True)
    )
    if not fits:
        raise UserError(
            f"Sample weights of shape {tuple(weight)} per row do not fit a loss of shape {tuple(loss)} per "
            "row: give one number for each of these, or add an axis of size 1 to the weights."
        )
