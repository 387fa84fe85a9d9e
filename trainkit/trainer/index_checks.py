"""Indexes outside of a table and labels outside of the classes: TensorFlow on a CPU raises for them, and XLA
trains on in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from trainkit.backend import compat
from trainkit.backend.compat.layers import call_count
from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays
from trainkit.core.tree import leaves
from trainkit.trainer.setup import TrainSetup

__all__ = ["why_not_xla"]

ROWS = 8192  # that are looked at together


def why_not_xla(setup: TrainSetup) -> str:
    """Why XLA might train where TensorFlow would raise; empty: it would not.

    Looks at the inputs of all Embedding layers and at the labels of sparse losses, for all rows in memory. On
    a GPU TensorFlow does not raise either.
    """
    model = setup.model
    tables = [one for one in compat.flat_layers(model) if isinstance(one, keras.layers.Embedding)]
    sparse = any("sparse" in _name(one) for one in keras.tree.flatten(model.loss))
    if has_gpu() or not (tables or sparse):
        return ""
    parts = list(setup.splits.in_memory().values())
    if setup.source.arrays is None or not isinstance(setup.splits.train, Arrays):
        return "indexes of rows that are read one after the other are checked by TensorFlow alone"
    if tables and not _indexes_fit(model, tables, parts):
        return "an index of an Embedding is outside of its table, or is known to TensorFlow alone"
    if sparse and not _labels_fit(setup.facts.outputs, parts):
        return "a label is outside of the classes, or is known to TensorFlow alone"
    return ""


def _indexes_fit(model: keras.Model, tables: list[keras.layers.Embedding], parts: list[Arrays]) -> bool:
    """Whether all indexes of all tables can be computed from the rows, and lie within."""
    sequential = isinstance(model, keras.Sequential)
    if not sequential and any(call_count(table) != 1 for table in tables):
        return False
    try:
        given = keras.Model(model.inputs[0] if sequential else model.input, [table.input for table in tables])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # no graph of layers
        return False
    limits = [table.input_dim for table in tables]
    for part in parts:
        for x in _blocks(part.x):
            found = keras.tree.flatten(given(x, training=False))
            if not all(_lie_within(index, limit) for index, limit in zip(found, limits, strict=True)):
                return False
    return True


def _labels_fit(outputs: Any, parts: list[Arrays]) -> bool:
    """Whether all labels that may be classes are classes of every output."""
    tensors = keras.tree.flatten(outputs)
    classes = [tensor.shape[-1] for tensor in tensors]
    if not classes or None in classes:
        return False
    ranks = {len(tensor.shape) - 1 for tensor in tensors}
    for part in parts:
        for labels in leaves(part.y):
            alone = len(labels.shape) in ranks or labels.shape[-1] == 1 or labels.dtype.kind in "iu"
            if alone and not all(_lie_within(block, min(classes)) for block in _blocks(labels)):
                return False
    return True


def _blocks(rows: Any) -> Iterator[Any]:
    """Rows, which may lie in a file, some at a time."""
    for begin in range(0, len(leaves(rows)[0]), ROWS):
        block = slice(begin, begin + ROWS)
        yield keras.tree.map_structure(lambda array, block=block: np.asarray(array[block]), rows)


def _lie_within(indexes: Any, limit: int) -> bool:
    values = keras.ops.convert_to_numpy(indexes)
    return not values.size or bool(values.min() >= 0 and values.max() < limit)


def _name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss.lower()
    return f"{type(loss).__name__} {getattr(loss, '__name__', '')} {getattr(loss, 'name', '')}".lower()
