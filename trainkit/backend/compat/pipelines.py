"""What a `tf.data.Dataset` was made by: TensorFlow keeps that private."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

__all__ = ["ends_in_batches", "runs_python", "shuffled_anew"]


def ends_in_batches(dataset: tf.data.Dataset) -> bool:
    """Whether the elements are batches: the dataset was batched, and not taken apart again."""
    for stage in _stages(dataset):
        kind = type(stage).__name__.lower()
        if "batch" in kind:
            return "unbatch" not in kind
    return False


def shuffled_anew(dataset: tf.data.Dataset) -> str:
    """Whether `shuffle` gives another order in each epoch: `seeded` or `unseeded`; "" if it does not.

    A seeded one gives the same orders in each process, in the order in which iterators are made.
    """
    found = ""
    for stage in _stages(dataset):
        kept = vars(stage)
        if kept.get("_reshuffle_each_iteration"):
            if not int(kept["_seed"]) and not int(kept["_seed2"]):
                return "unseeded"
            found = "seeded"
    return found


def runs_python(dataset: tf.data.Dataset) -> bool:
    """Whether Python code makes its rows: `from_generator`, `py_function` or `numpy_function`."""
    parts = [part for stage in _stages(dataset) for part in vars(stage).values() if hasattr(part, "function")]
    graphs = [part.function.graph.as_graph_def() for part in parts if hasattr(part.function, "graph")]
    return any("PyFunc" in node.op for graph in graphs for node in _nodes(graph))


def _nodes(graph: tf.compat.v1.GraphDef) -> Iterator[Any]:
    """The operations of a graph and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _stages(dataset: tf.data.Dataset) -> Iterator[tf.data.Dataset]:
    """A dataset and those that it was made from, the last one first."""
    yield dataset
    for earlier in dataset._inputs():
        yield from _stages(earlier)
