"""What a `tf.data.Dataset` was made by, and copies of it: TensorFlow keeps that private."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.data.ops import dataset_ops
from tensorflow.python.framework import config

__all__ = [
    "batching",
    "draws_when_opened",
    "ends_in_batches",
    "knows_the_time",
    "let_go",
    "opened_twice",
    "reads",
    "runs_python",
    "set_apart",
    "shuffled_anew",
]

PASSING = {
    "AssertCardinality",
    "Batch",
    "Filter",
    "Map",
    "Options",
    "PaddedBatch",
    "ParallelBatch",
    "ParallelMap",
    "Prefetch",
    "Restructured",
    "Skip",
    "Take",
    "Unbatch",
}  # of which an iterator makes one of the stage before at once


def ends_in_batches(dataset: tf.data.Dataset) -> bool:
    """Whether the elements are batches: the dataset was batched, and not taken apart again."""
    for stage in _stages(dataset):
        kind = type(stage).__name__.lower()
        if "batch" in kind:
            return "unbatch" not in kind
    return False


def batching(dataset: tf.data.Dataset) -> tuple[int | None, bool]:
    """How many rows `batch` puts together, if the elements are such batches, and whether these are shuffled
    behind it, so that a smaller one may come before others."""
    shuffled = False
    for stage in _stages(dataset):
        kept = vars(stage)
        if "batch" in type(stage).__name__.lower():
            return (int(kept["_batch_size"]) if "_batch_size" in kept else None), shuffled
        shuffled = shuffled or "shuffle" in type(stage).__name__.lower()
    return None, shuffled


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


def draws_when_opened(dataset: tf.data.Dataset) -> bool:
    """Whether an iterator draws its orders when it is made, not also while it is read: there is one `shuffle`
    that gives another order in each epoch, and behind it nothing that repeats, joins or keeps rows."""
    stages = list(_stages(dataset))
    drawing = [i for i, stage in enumerate(stages) if vars(stage).get("_reshuffle_each_iteration")]
    kinds = {type(stage).__name__.strip("_").removesuffix("Dataset") for stage in stages[: drawing[0]]}
    return len(drawing) == 1 and kinds <= PASSING and not any(_opens_given(stage) for stage in stages)


def runs_python(dataset: tf.data.Dataset) -> bool:
    """Whether Python code makes its rows: `from_generator`, `py_function` or `numpy_function`."""
    parts = [part for stage in _stages(dataset) for part in vars(stage).values() if hasattr(part, "function")]
    graphs = [part.function.graph.as_graph_def() for part in parts if hasattr(part.function, "graph")]
    return any("PyFunc" in node.op for graph in graphs for node in _nodes(graph))


def reads(dataset: tf.data.Dataset, variables: Iterable[Any]) -> bool:
    """Whether functions of its stages read some of the variables, such as the weights of a model."""
    values = [getattr(v, "value", v) for v in variables]
    copies = [copy for value in values for copy in getattr(value, "values", (value,))]  # one a replica
    handles = {id(copy.handle) for copy in copies if hasattr(copy, "handle")}
    return any(id(given) in handles for stage in _stages(dataset) for given in _given(stage))


def opened_twice(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, of which each iterator opens one that nobody reads before its own."""
    second = tf.data.Dataset.from_tensors(tf.constant(1, tf.int64)).repeat()
    return tf.data.Dataset.choose_from_datasets([dataset, dataset], second, stop_on_empty_dataset=True)


def set_apart(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A copy whose iterators leave the orders of the dataset's own as they are: each `shuffle` counts how
    often it was opened, also through datasets that were made from it.

    Raises:
        tf.errors.OpError, ValueError: for a dataset that cannot be copied, such as one of more than 2 GB.
    """
    written = tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor, external_state_policy=1)
    graph = tf.compat.v1.GraphDef.FromString(written.numpy())
    for node in graph.node:
        if node.op == "ShuffleDatasetV3":
            node.op = "ShuffleDataset"  # the same without the count, which is its last input
            del node.input[4:]
    copied = tf.raw_ops.DatasetFromGraph(graph_def=graph.SerializeToString())
    return dataset_ops._VariantDataset(copied, dataset.element_spec)


def knows_the_time() -> bool:
    """Whether a graph may look at the clock, which TensorFlow forbids where operations are deterministic."""
    return not config.is_op_determinism_enabled()


def let_go(held: list[Any]) -> None:
    """Let go of iterators while the caller goes on; nobody else may refer to them.

    TensorFlow's thread that tunes the pipeline of an iterator misses at times that it is to end, on a busy
    machine. It then sleeps as long as the iterator has lived, up to a minute, and who ends it waits.

    Args:
        held: The iterators, of pipelines that run no Python code. The list is emptied.
    """
    if sys.is_finalizing():  # a thread would never start, and who started it would wait for ever
        held.clear()
        return
    try:
        threading.Thread(target=held.clear, name="iterators").start()
    except RuntimeError:  # the process ends
        held.clear()


def _opens_given(stage: tf.data.Dataset) -> bool:
    """Whether a function of a stage has a Dataset from outside of it, which may be shuffled, too."""
    return any(given.dtype == tf.variant for given in _given(stage))


def _given(stage: tf.data.Dataset) -> Iterator[Any]:
    """What the functions of a stage have from outside of them."""
    for part in vars(stage).values():
        yield from getattr(getattr(part, "function", None), "captured_inputs", ())


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
