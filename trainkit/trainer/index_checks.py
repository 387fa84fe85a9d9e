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
from trainkit.core.tree import leaves, pack_leaves
from trainkit.engine.inputs import has_unknown_sizes, keras_batch
from trainkit.engine.objective import computed, own_objective
from trainkit.trainer.own_code import has_own_metrics
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

__all__ = ["IndexCheck", "index_check"]

ROWS = 8192  # that are looked at together
WORDS = {
    LABELS: "a label is outside of the classes",
    TO_INTEGERS: "a number is outside of its type",
    INTEGER_DIVISION: "a whole number is divided by zero",
}
UNKNOWN = "whether all indexes are in range is known to TensorFlow alone"
# What such an operation gives in one step tells nothing about the next.
CHANGING = ("ReadVariable", "Random", "Multinomial", "ResourceGather", *FUNCTIONS)
SHAPES = ("Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs")
ALONG_ROWS = ("Cum", "Segment", "Roll", "Reverse")  # these may keep the number of rows


class _Unknown(Exception):
    """Only the training itself shows whether a number is in range."""


class IndexCheck:
    """Looks at every operation of the model and its loss of which XLA checks nothing, with the numbers that
    it gets from rows; nothing else of the model is computed.

    Args:
        setup: The task made ready.

    Raises:
        Exception: where only the training itself shows whether a number is in range.
    """

    def __init__(self, setup: TrainSetup) -> None:
        batch_spec = leaves(setup.source.batch_spec)
        if any(not isinstance(one, tf.TensorSpec) or not one.shape.rank for one in batch_spec):
            raise _Unknown
        rows = setup.source.spec
        specs = [tf.TensorSpec([None, *one.shape], one.dtype) for one in leaves(rows)]
        wrapped = tf.compat.v1.wrap_function(lambda *flat: _compute(setup, pack_leaves(rows, flat)), specs)
        places = {tensor.name: place for place, tensor in enumerate(wrapped.graph.inputs[: len(specs)])}
        self._checks = list(_checks(wrapped.graph, places))
        self._wrapped = wrapped
        self._looks: dict[int, tuple[list[str], list[int], Any]] = {}  # by how many arrays there are

    def __call__(self, given: Sequence[Any]) -> str:
        """Why TensorFlow would raise for rows, the leaves of a batch `[N, ...]`; empty: it would not.

        Rows to predict have no labels, and what needs them is not looked at.
        """
        wrong = {kind for kind, inside, _ in self._checks if inside is False}
        try:
            kinds, needed, look = self._look(len(given))
            for block in _blocks([given[place] for place in needed]) if kinds else ():
                found = look(*map(tf.constant, block))
                wrong |= {kind for kind, inside in zip(kinds, found, strict=True) if not inside}
        except Exception:  # whatever keeps us from looking, TensorFlow looks by itself
            return UNKNOWN
        return next((WORDS.get(kind, "an index is outside of its table") for kind in sorted(wrong)), "")

    def _look(self, count: int) -> tuple[list[str], list[int], Any]:
        """What is asked of so many arrays: kinds of operations, the arrays that these need, the function."""
        if count not in self._looks:
            asked = [one for one in self._checks if one[1] is not False and max(one[2], default=0) < count]
            needed = sorted(set().union(*(places for _, _, places in asked)))
            feeds = [self._wrapped.graph.inputs[place] for place in needed]
            look = self._wrapped.prune(feeds, [inside for _, inside, _ in asked]) if asked else None
            self._looks[count] = [kind for kind, _, _ in asked], needed, look
        return self._looks[count]


def index_check(setup: TrainSetup) -> tuple[str, IndexCheck | None]:
    """Why XLA might train where TensorFlow would raise, as far as the rows in memory tell (empty: it would
    not); and what looks at other rows, if they need that.

    On a GPU TensorFlow does not raise either.
    """
    facts = setup.facts
    looks = facts.own_train_step or any(any_of(one, UNCHECKED + FUNCTIONS) for one in facts.operations)
    if setup.source.arrays is None and has_unknown_sizes(setup.source.spec):
        return "XLA compiles anew for each shape, and rows of unknown width may have many", None
    if has_gpu() or not looks:
        return "", None
    try:
        check = IndexCheck(setup)
    except Exception:  # whatever it is
        return UNKNOWN, None
    parts = setup.splits.in_memory()
    if setup.source.arrays is None:
        parts.pop("train", None)  # what stands for rows that come by and by
    found = (check(leaves(part.batch())) for part in parts.values())
    return next(filter(None, found), ""), check


def _compute(setup: TrainSetup, batch: Any) -> None:
    """What a step computes, but for the update and metrics if these are Keras's, and for a model of which XLA
    has nothing to check."""
    model, task = setup.model, setup.task
    x, y, weight = (*batch, None, None)[:3]
    if setup.facts.own_train_step:
        model.train_step(keras_batch(batch))
        return
    if own_objective(task):
        _, outputs = computed(task, model, batch, training=True)
    else:
        takes = any(any_of(one, UNCHECKED + FUNCTIONS) for one in setup.facts.layer_operations)
        outputs = model(x, training=True) if takes else _like(setup.facts.outputs)
        if compat.compiled_losses(model) is not None or compat.has_own(model, "compute_loss"):
            compat.model_loss(model, x, y, outputs, weight, True)
    if has_own_metrics(model):
        model.compute_metrics(x, y, outputs, sample_weight=weight)


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
                needed = _inputs_of(numbers, places, constants)
                if _mixes_rows(numbers, places, constants):
                    raise _Unknown
                inside = (numbers >= low) & (numbers < tf.constant(limit, numbers.dtype))
                yield kind, tf.reduce_all(inside), needed


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


def _mixes_rows(tensor: tf.Tensor, places: dict[str, int], constants: set[str]) -> bool:
    """Whether a tensor is computed from several rows of a batch together, such as their sum: then it is
    another one for each way to cut batches. Such a number has a shape that no number of rows is in, or, as of
    pairs of rows, two of them."""
    seen, left = set(), [tensor]
    while left:
        one = left.pop()
        if one.name in seen or one.op.type in SHAPES:
            continue
        seen.add(one.name)
        sizes = one.shape.as_list() if one.shape.rank is not None else [None, None]
        mixed = sizes.count(None) != 1 or any_of(one.op.type, ALONG_ROWS) or _is_of_some_rows(one.op)
        if mixed and _inputs_of(one, places, constants, SHAPES):
            return True
        left += one.op.inputs
    return False


def _is_of_some_rows(op: tf.Operation) -> bool:
    """Whether an operation takes a slice of the rows, or takes them in another order."""
    if op.type != "StridedSlice" or (op.get_attr("ellipsis_mask") | op.get_attr("new_axis_mask")) & 1:
        return False
    strides = tf.get_static_value(op.inputs[3])
    in_order = strides is not None and strides[0] == 1
    return not (in_order and op.get_attr("begin_mask") & op.get_attr("end_mask") & 1)


def _blocks(columns: list[Any]) -> Iterator[list[Any]]:
    """Rows, which may lie in a file, some at a time."""
    for begin in range(0, len(columns[0]) if columns else 1, ROWS):
        yield [np.asarray(column[begin : begin + ROWS]) for column in columns]
