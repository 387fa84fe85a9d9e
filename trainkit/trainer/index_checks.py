"""Indexes outside of a table and labels outside of the classes: TensorFlow on a CPU raises for them, and XLA
trains on in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from trainkit.backend import compat
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
    try:
        indexes = [table.input for table in tables]
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        given = keras.Model(inputs, indexes)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # no graph, or a table used twice
        return False
    limits = [table.input_dim for table in tables]
    for batch in _batches([part.x for part in parts]):
        found = keras.tree.flatten(given(batch, training=False))
        for index, limit in zip(found, limits, strict=True):
            values = keras.ops.convert_to_numpy(index)
            if values.size and (values.min() < 0 or values.max() >= limit):
                return False
    return True


def _batches(inputs: list[Any]) -> Iterator[Any]:
    for x in inputs:
        for begin in range(0, len(leaves(x)[0]), ROWS):
            rows = slice(begin, begin + ROWS)
            yield keras.tree.map_structure(lambda array, rows=rows: np.asarray(array[rows]), x)


def _labels_fit(outputs: Any, parts: list[Arrays]) -> bool:
    """Whether all labels that stand alone are classes of every output."""
    classes = [tensor.shape[-1] for tensor in keras.tree.flatten(outputs)]
    if not classes or None in classes:
        return False
    for part in parts:
        for labels in leaves(part.y):
            alone = labels.ndim == 1 or labels.shape[-1] == 1 or labels.dtype.kind in "iu"
            if alone and len(labels) and (labels.min() < 0 or labels.max() >= min(classes)):
                return False
    return True


def _name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss.lower()
    return f"{type(loss).__name__} {getattr(loss, '__name__', '')} {getattr(loss, 'name', '')}".lower()
