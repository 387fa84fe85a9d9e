"""A function whose trace is found by a look-up is called as TensorFlow calls it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context

from trainkit.backend.compat import TracedFunction


@pytest.fixture
def one() -> tf.Tensor:
    return tf.ones([2])


@pytest.fixture
def other() -> tf.Tensor:
    return tf.fill([2], 5.0)


def counted(function: Any, **options: Any) -> tuple[TracedFunction, list[int]]:
    """The function, and an entry for each of its traces."""
    traces: list[int] = []

    def traced(*arguments: Any) -> Any:
        traces.append(1)
        return function(*arguments)

    return TracedFunction(tf.function(traced, autograph=False, **options)), traces


def minus(pair: Any) -> tf.Tensor:
    return pair["a"] - pair["b"] if isinstance(pair, dict) else pair[0] - pair[1]


def test_a_tensor_that_is_given_twice_is_not_taken_for_its_double(one: tf.Tensor, other: tf.Tensor) -> None:
    call, traces = counted(minus)
    for pair in ([one, one], [one, other], [other, one], [other, other]):
        np.testing.assert_array_equal(call(pair), pair[0] - pair[1])
    assert len(traces) == 1


def test_tensors_are_told_apart_by_their_names_in_any_order(one: tf.Tensor, other: tf.Tensor) -> None:
    call, _ = counted(minus)
    for pair in ({"a": one, "b": other}, {"b": other, "a": one}, {"b": one, "a": other}) * 2:
        np.testing.assert_array_equal(call(pair), pair["a"] - pair["b"])


def test_each_structure_shape_and_type_has_its_trace(one: tf.Tensor, other: tf.Tensor) -> None:
    def total(parts: Any, last: Any) -> Any:
        return sum(tf.reduce_sum(tf.cast(part, "float32")) for part in tf.nest.flatten((parts, last)))

    call, traces = counted(total)
    given: list[Any] = [
        ((one, other), one),
        ((one,), (other, one)),  # as many tensors, nested in another way
        (tf.ones([3]), one),
        (tf.ones([3], tf.int32), one),
    ]
    for arguments in given * 3:
        assert float(call(*arguments)) == float(total(*arguments))
    assert len(traces) == len(given)


def test_what_is_left_out_is_no_tensor(one: tf.Tensor, other: tf.Tensor) -> None:
    call, traces = counted(lambda a, b: a if b is None else a + b)
    for _ in range(3):
        np.testing.assert_array_equal(call(one, None), one)
        np.testing.assert_array_equal(call(one, other), one + other)
    assert len(traces) == 2


def test_shapes_are_relaxed_as_tensorflow_relaxes_them() -> None:
    call, traces = counted(tf.reduce_sum, reduce_retracing=True)
    for size in (2, 3, 4, 2, 3, 4, 5):
        assert float(call(tf.ones([size]))) == size
    assert len(traces) == 2  # of the first size, and of any


@pytest.mark.parametrize("ragged", [True, False])
def test_what_is_no_dense_tensor_goes_to_tensorflow(ragged: bool) -> None:
    rows = tf.ragged.constant([[1.0], [2.0, 3.0]]) if ragged else np.ones([2], "float32")
    call, _ = counted(lambda x: tf.reduce_sum(x))
    for _ in range(2):
        assert float(call(rows)) == float(tf.reduce_sum(rows))


def test_functions_run_eagerly_where_that_is_asked_for(one: tf.Tensor) -> None:
    call, traces = counted(tf.reduce_sum)
    call(one)
    call(one)
    tf.config.run_functions_eagerly(True)
    try:
        call(one)
        call(one)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(traces) == 3


def test_variables_that_change_are_read_anew(one: tf.Tensor) -> None:
    variable = tf.Variable(1.0)
    call, traces = counted(lambda x: x * variable)
    for value in (1.0, 2.0, 3.0):
        variable.assign(value)
        np.testing.assert_array_equal(call(one), one * value)
    assert len(traces) == 1


def test_a_graph_that_is_rewritten_once_keeps_what_the_user_says_of_rewriting(
    one: tf.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    usual = context.Context.call_function

    def noted(self: Any, *arguments: Any) -> Any:
        config = config_pb2.ConfigProto.FromString(self.function_call_options.config_proto_serialized)
        found.append(config.graph_options.rewrite_options)
        return usual(self, *arguments)

    monkeypatch.setattr(context.Context, "call_function", noted)
    tf.config.optimizer.set_experimental_options({"constant_folding": False})
    try:
        before = context.context().function_call_options
        for rewritten_once in (False, True, True):
            call = TracedFunction(tf.function(lambda x: -x, autograph=False), rewritten_once=rewritten_once)
            assert call(one).numpy().tolist() == [-1.0, -1.0]
            assert context.context().function_call_options is before
        for _ in range(2):
            call(one)
    finally:
        tf.config.optimizer.set_experimental_options({"constant_folding": True})
    options = rewriter_config_pb2.RewriterConfig
    assert [one.constant_folding for one in found] == [options.OFF] * 5
    once = [one.meta_optimizer_iterations == options.ONE for one in found]
    assert once == [False, True, True, True, True]
