"""Rows that come in batches, as the loops see them: nothing is known of their number or order."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.tree import map_leaves
from trainkit.trainer.sources import RowSource

__all__ = ["batches_source"]


def batches_source(batch_spec: Any) -> RowSource:
    """Rows that come in batches, in an order of their own.

    Args:
        batch_spec: Structure of `tf.TypeSpec` of a batch: `(x[, y[, weight]])`, or a lone `x`.
    """
    spec = tf.nest.map_structure(_without_optional, batch_spec)
    rows = map_leaves(_row_of, spec if type(spec) is tuple else (spec,))
    reason = "in batches, in their own order"
    return RowSource(None, None, 0, rows, "batches", reason, _no_order, batch_spec=spec)


def _without_optional(spec: Any) -> Any:
    """None for an input that Keras's adapters left out."""
    return None if isinstance(spec, tf.OptionalSpec) else spec


def _row_of(spec: Any) -> Any:
    """A row of a dense batch; ragged and sparse batches are known by their own spec alone."""
    if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
        return spec
    return tf.TensorSpec(spec.shape[1:], spec.dtype)


def _no_order(epoch: int) -> np.ndarray:
    return np.zeros([0], np.int32)
