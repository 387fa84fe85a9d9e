"""Which batches are alike: shapes, types and numbers of rows."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainkit.core.tree import Structure, leaves

__all__ = ["of_one_length", "row_shapes", "rows_of", "signature_of"]


def rows_of(batch: Structure) -> int:
    """Rows of the longest tensor of a batch; 0 if any has none."""
    counts = [int(t.shape[0]) for t in leaves(batch) if t.shape.rank] or [1]
    return max(counts) if all(counts) else 0


def of_one_length(batch: Structure) -> bool:
    """Whether all tensors of a batch have the same number of rows: only then does a row number mean the same
    in each."""
    return len({t.shape[0] if t.shape.rank else None for t in leaves(batch)} | {rows_of(batch)}) == 1


def row_shapes(batch: Structure) -> Any:
    """Shapes of a row, which a batch of fewer rows has as others have."""
    return [None if t is None else t.shape[1:].as_list() for t in tf.nest.flatten(batch)]


def signature_of(batch: Structure) -> Any:
    """Shapes and types of a batch; None if it cannot be joined with others, or has no rows."""
    tensors = tf.nest.flatten(batch)
    dense = all(t is None or isinstance(t, tf.Tensor) for t in tensors)
    if not dense or not rows_of(batch) or not of_one_length(batch):
        return None
    return tuple(None if t is None else (tuple(t.shape), t.dtype) for t in tensors)
