"""Indexes outside of a table and labels outside of the classes: TensorFlow on a CPU raises for them, and XLA
trains on in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat.handles import shape_of
from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays
from trainkit.core.tree import leaves, pack_leaves
from trainkit.engine.inputs import keras_batch
from trainkit.engine.train_step import own_objective
from trainkit.trainer.setup import TrainSetup

__all__ = ["why_not_xla"]

ROWS = 8192  # that are looked at together
LABELS = "SparseSoftmaxCrossEntropyWithLogits"
INDEXED = (LABELS, "Gather", "Scatter", "Segment")
FUNCTIONS = ("PartitionedCall", "While", "If", "Case")
# What such an operation gives in one step tells nothing about the next.
CHANGING = ("ReadVariable", "Random", "Multinomial", "ResourceGather", *FUNCTIONS)


class _Unknown(Exception):
    """Only the training itself shows whether an index is in range."""


def why_not_xla(setup: TrainSetup) -> str:
    """Why XLA might train where TensorFlow would raise; empty: it would not.

    Looks at every operation of the model and its loss that takes indexes, with the indexes of all rows in
    memory; nothing else of the model is computed. On a GPU TensorFlow does not raise either.
    """
    facts = setup.facts
    looks = facts.own_train_step or any(_is_one_of(one, INDEXED + FUNCTIONS) for one in facts.operations)
    if has_gpu() or not looks:
        return ""
    if setup.source.arrays is None or not isinstance(setup.splits.train, Arrays):
        return "indexes of rows that are read one after the other are checked by TensorFlow alone"
    try:
        wrong = _wrong_kinds(setup)
    except Exception:  # whatever keeps us from looking, TensorFlow looks by itself
        return "an index is known to TensorFlow alone"
    if LABELS in wrong:
        return "a label is outside of the classes"
    return "an index is outside of its table" if wrong else ""


def _wrong_kinds(setup: TrainSetup) -> set[str]:
    """The operations that get an index out of range from any row in memory."""
    rows = setup.splits.train.batch()
    specs = [tf.TensorSpec([None, *one.shape[1:]], one.dtype) for one in leaves(rows)]
    wrapped = tf.compat.v1.wrap_function(lambda *flat: _compute(setup, pack_leaves(rows, flat)), specs)
    places = {tensor.name: place for place, tensor in enumerate(wrapped.graph.inputs[: len(specs)])}
    checks = list(_checks(wrapped.graph, places))
    wrong = {kind for kind, inside, _ in checks if inside is False}
    for part in setup.splits.in_memory().values():
        given = leaves(part.batch())
        # Rows to predict have no labels.
        asked = [one for one in checks if one[1] is not False and max(one[2], default=0) < len(given)]
        needed = sorted(set().union(*(places for _, _, places in asked)))
        if asked:
            feeds = [wrapped.graph.inputs[place] for place in needed]
            look = wrapped.prune(feeds, [inside for _, inside, _ in asked])
            for block in _blocks([given[place] for place in needed]):
                found = look(*map(tf.constant, block))
                wrong |= {kind for (kind, _, _), inside in zip(asked, found, strict=True) if not inside}
    return wrong


def _compute(setup: TrainSetup, batch: Any) -> None:
    """What a step computes, but for metrics and update if these are Keras's, and for a model that takes no
    index."""
    model, task = setup.model, setup.task
    x, y, weight = (*batch, None, None)[:3]
    if setup.facts.own_train_step:
        model.train_step(keras_batch(batch))
    elif own_objective(task):
        task.compute(model, batch, training=True)
    else:
        takes = any(_is_one_of(one, INDEXED + FUNCTIONS) for one in setup.facts.layer_operations)
        outputs = model(x, training=True) if takes else _like(setup.facts.outputs, leaves(x)[0])
        if compat.compiled_losses(model) is not None or compat.has_own(model, "compute_loss"):
            compat.model_loss(model, x, y, outputs, weight, True)


def _like(outputs: Any, rows: tf.Tensor) -> Any:
    """Zeros in place of symbolic outputs, as many rows as there are."""
    return keras.tree.map_structure(
        lambda one: tf.zeros([tf.shape(rows)[0], *one.shape[1:]], one.dtype), outputs
    )


def _checks(graph: tf.Graph, places: dict[str, int]) -> Iterator[tuple[str, Any, set[int]]]:
    """For each operation that takes indexes its kind, whether all are inside (False, or a tensor to compute),
    and the inputs that this depends on."""
    inner = [node.op for function in graph.as_graph_def().library.function for node in function.node_def]
    if any(_is_one_of(op, INDEXED) for op in inner):
        raise _Unknown
    with graph.as_default():
        for op in [one for one in graph.get_operations() if _is_one_of(one.type, INDEXED)]:
            index, limit = _index_and_limit(op)
            known = tf.get_static_value(index)
            if known is None:
                inside = tf.reduce_all((index >= 0) & (index < tf.constant(limit, index.dtype)))
                yield op.type, inside, _inputs_of(index, places)
            elif not np.all((known >= 0) & (known < np.asarray(limit))):
                yield op.type, False, set()


def _index_and_limit(op: tf.Operation) -> tuple[tf.Tensor, Any]:
    """The indexes that an operation takes, and what they have to stay below."""
    kind, index = op.type, op.inputs[1]
    table = shape_of(op.inputs[0])
    limit: Any
    if kind == LABELS:
        source = op.inputs[0].op
        # TensorFlow's own way from time steps to rows forgets the size that it keeps.
        by_step = source.type == "Reshape" and LABELS in source.name
        limit = shape_of(source.inputs[0])[-1] if by_step else table[-1]
    elif kind == "GatherV2":
        limit = table[int(tf.get_static_value(op.inputs[2]))]
    elif kind == "ResourceGather":
        limit = table[op.get_attr("batch_dims")]
    elif kind.startswith("ResourceScatter") and "Nd" not in kind:
        limit = table[0]
    elif kind.endswith("GatherNd") or kind.startswith(("TensorScatter", "ResourceScatterNd")):
        limit = table[: index.shape[-1]]
    elif kind.startswith("UnsortedSegment"):
        limit = int(tf.get_static_value(op.inputs[2]))
        index = tf.maximum(index, 0)  # negative ones are left out, also by TensorFlow
    else:
        raise _Unknown
    if limit is None or (isinstance(limit, list) and None in limit):
        raise _Unknown
    return index, limit


def _inputs_of(tensor: tf.Tensor, places: dict[str, int]) -> set[int]:
    """The places of the inputs that a tensor is computed from."""
    found, seen, left = set(), set(), [tensor]
    while left:
        one = left.pop()
        if one.name in seen:
            continue
        seen.add(one.name)
        if _is_one_of(one.op.type, CHANGING):
            raise _Unknown
        if one.name in places:
            found.add(places[one.name])
        left += one.op.inputs
    return found


def _blocks(columns: list[Any]) -> Iterator[list[Any]]:
    """Rows, which may lie in a file, some at a time."""
    for begin in range(0, len(columns[0]) if columns else 1, ROWS):
        yield [np.asarray(column[begin : begin + ROWS]) for column in columns]


def _is_one_of(operation: str, parts: tuple[str, ...]) -> bool:
    return any(part in operation for part in parts)
