"""Indexes outside of a table, labels outside of the classes, divisions by zero, numbers too large for a type:
TensorFlow on a CPU raises for them or wraps them, and XLA trains on in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat.handles import shape_of
from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays
from trainkit.core.tree import leaves, pack_leaves
from trainkit.engine.inputs import has_unknown_sizes, keras_batch
from trainkit.engine.objective import computed, own_objective
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.xla_limits import (
    FUNCTIONS,
    INTEGER_DIVISION,
    LABELS,
    TO_INTEGERS,
    UNCHECKED,
    any_of,
    functions_contain,
    operation_name,
)

__all__ = ["why_not_xla"]

ROWS = 8192  # that are looked at together
WORDS = {
    LABELS: "a label is outside of the classes",
    TO_INTEGERS: "a number is outside of its type",
    INTEGER_DIVISION: "a whole number is divided by zero",
}
# What such an operation gives in one step tells nothing about the next.
CHANGING = ("ReadVariable", "Random", "Multinomial", "ResourceGather", *FUNCTIONS)
SHAPES = ("Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs")


class _Unknown(Exception):
    """Only the training itself shows whether a number is in range."""


def why_not_xla(setup: TrainSetup) -> str:
    """Why XLA might train where TensorFlow would raise; empty: it would not.

    Looks at every operation of the model and its loss of which XLA checks nothing, with the numbers that it
    gets from all rows in memory; nothing else of the model is computed. On a GPU TensorFlow does not raise
    either.
    """
    facts = setup.facts
    looks = facts.own_train_step or any(any_of(one, UNCHECKED + FUNCTIONS) for one in facts.operations)
    if setup.source.arrays is None and has_unknown_sizes(setup.source.spec):
        return "XLA compiles anew for each shape, and rows of unknown width may have many"
    if has_gpu() or not looks:
        return ""
    if setup.source.arrays is None or not isinstance(setup.splits.train, Arrays):
        return "indexes of rows that are read one after the other are checked by TensorFlow alone"
    try:
        wrong = _wrong_kinds(setup)
    except Exception:  # whatever keeps us from looking, TensorFlow looks by itself
        return "whether all indexes are in range is known to TensorFlow alone"
    return next((WORDS.get(kind, "an index is outside of its table") for kind in sorted(wrong)), "")


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
    """What a step computes, but for metrics and update if these are Keras's, and for a model of
    which XLA has nothing to check."""
    model, task = setup.model, setup.task
    x, y, weight = (*batch, None, None)[:3]
    if setup.facts.own_train_step:
        model.train_step(keras_batch(batch))
    elif own_objective(task):
        computed(task, model, batch, training=True)
    else:
        takes = any(any_of(one, UNCHECKED + FUNCTIONS) for one in setup.facts.layer_operations)
        outputs = model(x, training=True) if takes else _like(setup.facts.outputs)
        if compat.compiled_losses(model) is not None or compat.has_own(model, "compute_loss"):
            compat.model_loss(model, x, y, outputs, weight, True)


def _like(outputs: Any) -> Any:
    """What stands for outputs of which nothing is known but their shapes."""
    return keras.tree.map_structure(lambda one: tf.compat.v1.placeholder(one.dtype, one.shape), outputs)


def _checks(graph: tf.Graph, places: dict[str, int]) -> Iterator[tuple[str, Any, set[int]]]:
    """For each operation of which XLA checks nothing its kind, whether what it gets is in range (False, or a
    tensor to compute), and the inputs that this depends on."""
    if functions_contain(graph, UNCHECKED):
        raise _Unknown
    constants = {inside.name for _, inside in graph.captures if inside.dtype != tf.resource}
    named = [(operation_name(op), op) for op in graph.get_operations()]
    with graph.as_default():
        for kind, op in [(kind, op) for kind, op in named if any_of(kind, UNCHECKED)]:
            numbers, low, limit = _range(kind, op)
            known = tf.get_static_value(numbers)
            if known is not None:
                if not np.all((known >= low) & (known < np.asarray(limit))):
                    yield kind, False, set()
            elif kind != INTEGER_DIVISION or _inputs_of(numbers, places, constants, SHAPES):
                inside = (numbers >= low) & (numbers < tf.constant(limit, numbers.dtype))
                yield kind, tf.reduce_all(inside), _inputs_of(numbers, places, constants)


def _range(kind: str, op: tf.Operation) -> tuple[tf.Tensor, int, Any]:
    """The numbers that an operation gets, the least that they may be, and what they have to stay below."""
    if kind == TO_INTEGERS:
        made = op.outputs[0].dtype
        return op.inputs[0], made.min, made.max + 1
    numbers = op.inputs[1]
    if kind == INTEGER_DIVISION:
        return tf.cast(tf.equal(numbers, 0), tf.int32), 0, 1
    if kind.startswith("UnsortedSegment"):
        limit: Any = int(tf.get_static_value(op.inputs[2]))
        return tf.maximum(numbers, 0), 0, limit  # negative ones are left out, also by TensorFlow
    table = shape_of(op.inputs[0])
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
        limit = table[: numbers.shape[-1]]
    else:
        raise _Unknown
    if limit is None or (isinstance(limit, list) and None in limit):
        raise _Unknown
    return numbers, 0, limit


def _inputs_of(
    tensor: tf.Tensor, places: dict[str, int], constants: set[str], without: Sequence[str] = ()
) -> set[int]:
    """The places of the inputs that a tensor is computed from, `without` what only such operations know."""
    found, seen, left = set(), set(), [tensor]
    while left:
        one = left.pop()
        if one.name in seen or one.op.type in without:
            continue
        seen.add(one.name)
        if one.name in places:
            found.add(places[one.name])
        elif any_of(one.op.type, CHANGING) or (one.op.type == "Placeholder" and one.name not in constants):
            raise _Unknown
        left += one.op.inputs
    return found


def _blocks(columns: list[Any]) -> Iterator[list[Any]]:
    """Rows, which may lie in a file, some at a time."""
    for begin in range(0, len(columns[0]) if columns else 1, ROWS):
        yield [np.asarray(column[begin : begin + ROWS]) for column in columns]
