"""What XLA cannot compile, computes otherwise than TensorFlow, or does not check: names of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import tensorflow as tf

__all__ = [
    "DRAWING",
    "FUNCTIONS",
    "INTEGER_DIVISION",
    "LABELS",
    "LOOP_OF_ANY_LENGTH",
    "NOT_IN_XLA",
    "OF_TEXT",
    "OTHERWISE_IN_XLA",
    "SLOW_IN_XLA",
    "TO_INTEGERS",
    "UNCHECKED",
    "any_of",
    "functions_contain",
    "is_otherwise",
    "operation_name",
    "operation_names",
    "own_names",
]

# XLA on a CPU runs these far more slowly than TensorFlow does, or repeats them in a loop of its own.
SLOW_IN_XLA = ("Conv", "Pool", "While", "CudnnRNN", "FusedBatchNorm")
NOT_IN_XLA = (
    "Assert",  # XLA leaves it out
    "CTC",
    "CheckNumerics",
    "HashTable",
    "ImageProjective",
    "LookupTable",
    "MutableHash",
    "PyFunc",
    "Ragged",
    "SparseTensor",
    "String",
    "Unique",
)
# Their names begin so: TensorFlow raises, or sorts equal or missing numbers in another way.
OTHERWISE_IN_XLA = (
    "Cholesky",
    "LeftShift",
    "Lu",
    "MatrixInverse",
    "MatrixSolve",
    "MatrixTriangularSolve",
    "Qr",
    "RightShift",
    "SelfAdjointEig",
    "Svd",
    "TopK",
)
# XLA cannot compile these either, and the attempt may end the process.
OF_TEXT = ("HashTable", "LookupTable", "String")
FUNCTIONS = ("PartitionedCall", "While", "If", "Case")
DRAWING = ("Random",)  # operations that draw random numbers
# Our name for a loop of as many turns as the rows say; over rows of a hidden number, XLA ends the process.
LOOP_OF_ANY_LENGTH = "LoopOfAnyLength"
LOOPS = frozenset({"While", "StatelessWhile"})
LABELS = "SparseSoftmaxCrossEntropyWithLogits"
TO_INTEGERS = "CastToIntegers"  # our name for a Cast from floating-point numbers
INTEGER_DIVISION = "IntegerDivision"  # and for divisions of whole numbers
# TensorFlow on a CPU raises where the numbers that these get are out of range, or wraps them.
UNCHECKED = (LABELS, "Gather", "Scatter", "Segment", TO_INTEGERS, INTEGER_DIVISION)

DIVISIONS = ("Div", "FloorDiv", "FloorMod", "Mod", "RealDiv", "TruncateDiv", "TruncateMod")


def any_of(operation: str, parts: Iterable[str]) -> bool:
    """Whether the name of an operation contains one of the parts."""
    return any(part in operation for part in parts)


def operation_names(graph: tf.Graph) -> frozenset[str]:
    """The names of a graph's operations; of those in its functions the ones that decide about XLA, and those
    that draw."""
    decisive = (*NOT_IN_XLA, *DRAWING)
    in_functions = _names_in_functions(graph)
    inner = {name for name in in_functions if any_of(name, decisive) or is_otherwise(name)}
    # Of those in functions nobody knows how long they are.
    loops = in_functions & LOOPS or any(
        op.type in LOOPS and not _is_known(op.inputs[1], {}) for op in graph.get_operations()
    )
    return own_names(graph) | inner | ({LOOP_OF_ANY_LENGTH} if loops else set())


def own_names(graph: tf.Graph) -> frozenset[str]:
    """The names of a graph's operations, without those in its functions."""
    return frozenset(map(operation_name, graph.get_operations()))


def functions_contain(graph: tf.Graph, parts: Iterable[str]) -> bool:
    """Whether an operation in the functions of a graph has a name that contains one of the parts."""
    return any(any_of(name, parts) for name in _names_in_functions(graph))


def is_otherwise(operation: str) -> bool:
    """Whether XLA computes an operation otherwise than TensorFlow."""
    return operation.startswith(OTHERWISE_IN_XLA)


def operation_name(op: tf.Operation) -> str:
    """TensorFlow's name of an operation, or ours where the types of its numbers matter."""
    return _named(op.type, op.get_attr)


def _is_known(number: tf.Tensor, known: dict[str, bool]) -> bool:
    """Whether a number, such as the most turns of a loop, follows from constants and known sizes; `known` has
    those that were asked for."""
    if number.name not in known:
        op = number.op
        if tf.get_static_value(number) is not None:
            known[number.name] = True
        elif op.type == "StridedSlice" and op.inputs[0].op.type == "Shape":
            begin, end = (tf.get_static_value(place) for place in op.inputs[1:3])
            sizes = op.inputs[0].op.inputs[0].shape
            told = sizes.rank is not None and begin is not None and end is not None
            known[number.name] = told and None not in sizes.as_list()[int(begin[0]) : int(end[0]) or None]
        else:
            known[number.name] = bool(op.inputs) and all(_is_known(one, known) for one in op.inputs)
    return known[number.name]


def _names_in_functions(graph: tf.Graph) -> set[str]:
    functions = graph.as_graph_def().library.function
    return {_named(node.op, partial(_type_in, node)) for function in functions for node in function.node_def}


def _type_in(node: tf.compat.v1.NodeDef, key: str) -> tf.DType:
    return tf.as_dtype(node.attr[key].type)


def _named(kind: str, type_of: Callable[[str], tf.DType]) -> str:
    if kind == "Cast":
        return TO_INTEGERS if type_of("SrcT").is_floating and type_of("DstT").is_integer else kind
    return INTEGER_DIVISION if kind in DIVISIONS and type_of("T").is_integer else kind
