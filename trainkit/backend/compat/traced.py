"""`tf.function`s that are traced as often as their owner means to, and called by a look-up of the trace."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context
from tensorflow.python.framework import ops

__all__ = ["TracedFunction", "without_tracing_warning"]

MAX_KNOWN = 256  # signatures; rows of ever new shapes do not fill the memory


def without_tracing_warning(function: Any) -> Any:
    """A `tf.function` of whose traces TensorFlow does not warn.

    It counts those of all functions with the same code together, and warns after a few: a program that each
    training traces once, as it should, looks like one that is traced at every call.
    """
    function._omit_frequent_tracing_warning = True
    return function


class TracedFunction:
    """A `tf.function` that finds the trace for tensors like those of a former call by one look-up.

    TensorFlow binds the arguments of each call to a signature, describes them, and compares: 0.4 to 0.7 ms,
    as long as a small step takes.

    Args:
        function: Takes structures of tensors, by position alone.
        rewritten_once: Leave out those rewritings of the graph that cost a fifth of the first call and do
            nothing for the later ones. They may round otherwise.
    """

    def __init__(self, function: Any, *, rewritten_once: bool = False) -> None:
        self.function = without_tracing_warning(function)
        self.rewritten_once = rewritten_once
        self._known: dict[Any, tuple[Any, Any, list[int]]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        if self.rewritten_once:
            with _rewriting_once():
                return self._result(arguments)
        return self._result(arguments)

    def _result(self, arguments: tuple[Any, ...]) -> Any:
        tensors = tf.nest.flatten(arguments)
        signature = _signature(tensors)
        if signature is None or tf.config.functions_run_eagerly():
            return self.function(*arguments)
        known = self._known.get(signature)
        if known is None or not _are_alike(known[0], arguments):
            result = self.function(*arguments)
            self._learn(signature, arguments)
            return result
        _, trace, places = known
        return trace._call_flat([tensors[place] for place in places], trace.captured_inputs)

    def trace(self, *arguments: Any) -> None:
        """Trace the function for tensors or `tf.TypeSpec`s, without a call."""
        self.function.get_concrete_function(*arguments)

    def _learn(self, signature: Any, arguments: Any) -> None:
        """Note the trace that the function has for such arguments, and which of their tensors it reads in
        which order."""
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        # One tensor may be given twice, where later calls give two.
        apart = tf.nest.map_structure(lambda one: None if one is None else tf.identity(one), arguments)
        trace = self.function._get_concrete_function_garbage_collected(*apart)  # which goes with the function
        read = trace.function_type.unpack_inputs(trace.function_type.bind(*apart))
        places = {id(tensor): place for place, tensor in enumerate(tf.nest.flatten(apart))}
        if all(id(tensor) in places for tensor in read):  # else TensorFlow converts some
            structure = tf.nest.map_structure(lambda _: 0, arguments)
            self._known[signature] = structure, trace, [places[id(tensor)] for tensor in read]


@contextmanager
def _rewriting_once() -> Iterator[None]:
    """Functions that are called meanwhile for the first time are rewritten in one turn."""
    eager = context.context()
    usual = eager.function_call_options
    eager.function_call_options = _once(usual.config_proto_serialized, usual.executor_type)
    try:
        yield
    finally:
        eager.function_call_options = usual


@functools.lru_cache(16)
def _once(serialized: bytes, executor: str | None) -> Any:
    config = config_pb2.ConfigProto.FromString(serialized)
    options = config.graph_options.rewrite_options
    kinds = rewriter_config_pb2.RewriterConfig
    if not options.meta_optimizer_iterations:  # what the user says holds
        options.meta_optimizer_iterations = kinds.ONE
    if not options.memory_optimization:
        options.memory_optimization = kinds.NO_MEM_OPT
    if not options.experimental_conditional_code_motion:
        options.experimental_conditional_code_motion = kinds.OFF
    return context.FunctionCallOptions(executor, config)


def _signature(tensors: list[Any]) -> Any:
    """Shapes and types of dense tensors, and the device that is asked for; None if others are among them."""
    found: list[Any] = [context.context().device_name]
    for tensor in tensors:
        if type(tensor) is ops.EagerTensor:
            found.append((tensor._shape_tuple(), tensor.dtype))
        elif tensor is None:
            found.append(None)
        else:
            return None
    return tuple(found)


def _are_alike(first: Any, second: Any) -> bool:
    try:
        tf.nest.assert_same_structure(first, second)
    except (ValueError, TypeError):
        return False
    return True
