"""Attention and activations of our own: outputs and gradients are those of Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainkit.backend import attention
from trainkit.backend.patches import patched

X = np.random.default_rng(0).normal(size=(5, 6, 8)).astype("float32")
OTHER = np.random.default_rng(1).normal(size=(5, 7, 8)).astype("float32")
MASK = np.random.default_rng(2).random((5, 6, 6)) > 0.4
WHOLE_SUMS = ["abc,cde->abde", "abcd,cde->abe", "ab,bc->ac", "abc,cd->abd", "abcd,de->abce", "abc,bcd->ad"]
OTHER_SUMS = [
    "abc,bcd->abd",
    "abc,cde->abed",
    "abc,dc->abd",
    "abc,cd->adb",
    "aab,bc->ac",
    "...b,bc->...c",
    "ab,bc",
]


def everything(run: Callable[..., Any], weights: list[Any], *given: np.ndarray, batch: int | None = 5) -> Any:
    """Outputs, and the gradients with respect to what is given and to the weights."""
    specs = [tf.TensorSpec([batch, *one.shape[1:]]) for one in given]

    @tf.function(autograph=False, input_signature=specs)
    def both(*tensors: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            out = run(*tensors)
            weights_of_sum = tf.cos(tf.cast(tf.range(tf.size(out)), tf.float32))
            total = tf.reduce_sum(out * tf.reshape(weights_of_sum, tf.shape(out)))
        return out, tape.gradient(total, [*tensors, *weights])

    found = both(*(tf.constant(one) for one in given))
    kinds = {op.type for op in both.get_concrete_function().graph.get_operations()}
    return [np.asarray(value) for value in tf.nest.flatten(found)], kinds


def alike(run: Callable[..., Any], weights: list[Any], *given: np.ndarray, batch: int | None = 5) -> set[str]:
    """Compare with Keras's own; the kinds of operations that ours takes."""
    theirs, _ = everything(run, weights, *given, batch=batch)
    with patched(attention.attention_kernels()):
        mine, kinds = everything(run, weights, *given, batch=batch)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    return kinds


@pytest.mark.parametrize(
    ("make", "arguments", "queries"),
    [
        (lambda: layers.MultiHeadAttention(2, 3), {}, [X, X]),
        (lambda: layers.MultiHeadAttention(2, 3), {"attention_mask": MASK}, [X, X]),
        (lambda: layers.MultiHeadAttention(2, 3), {"use_causal_mask": True}, [X, X]),
        (lambda: layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=4), {}, [X, OTHER]),
        (lambda: layers.GroupQueryAttention(3, 4, 2), {}, [X, OTHER]),
        (lambda: layers.GroupQueryAttention(3, 4, 1), {}, [X, X]),
        (lambda: layers.Attention(use_scale=True), {}, [X, OTHER]),
        (lambda: layers.AdditiveAttention(), {}, [X, OTHER]),
    ],
)
@pytest.mark.parametrize("batch", [5, None])
def test_attention_is_that_of_keras(
    make: Callable[[], Any], arguments: dict[str, Any], queries: list[np.ndarray], batch: int | None
) -> None:
    layer = make()

    def run(query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        listed = isinstance(layer, (layers.Attention, layers.AdditiveAttention))
        inputs = ([query, key],) if listed else (query, key)
        return layer(*inputs, training=True, **arguments)

    run(*(tf.constant(one) for one in queries))
    kinds = alike(run, [w.value for w in layer.weights], *queries, batch=batch)
    if type(layer) is layers.MultiHeadAttention:
        assert "Einsum" not in kinds


def test_returned_scores_and_dropout_are_those_of_keras() -> None:
    layer = layers.MultiHeadAttention(2, 3, dropout=0.5)
    layer(X, X)
    alike(lambda x: layer(x, x, training=False), [w.value for w in layer.weights], X)
    alike(lambda x: layer(x, x, return_attention_scores=True)[1], [], X)


@pytest.mark.parametrize("equation", [*WHOLE_SUMS, *OTHER_SUMS])
def test_a_sum_over_products_is_that_of_keras(equation: str) -> None:
    sizes = dict(zip("abcde", (4, 4, 3, 5, 2), strict=True))
    left, right = equation.partition("->")[0].replace("...", "a").split(",")
    draw = np.random.default_rng(0)
    given, weight = (
        draw.normal(size=[sizes[axis] for axis in one]).astype("float32") for one in (left, right)
    )
    kernel = tf.Variable(weight)
    kinds = alike(lambda x: keras.ops.einsum(equation, x, kernel), [kernel], given, batch=None)
    if equation in WHOLE_SUMS:
        assert "MatMul" in kinds
        assert "Einsum" not in kinds


def test_integers_are_left_to_keras() -> None:
    """A quantized layer multiplies int8 into int32, which no product of matrices does."""
    layer = layers.EinsumDense("abc,cde->abde", (6, 4, 5))
    layer.build(X.shape)
    layer.quantize("int8")
    alike(lambda x: layer(x, training=False), [], X)


def test_no_other_sum_is_taken_for_a_product() -> None:
    for equation in WHOLE_SUMS:
        assert attention._shared(equation), equation
    for equation in [*OTHER_SUMS, "a,b->ab", "ab,ab->", "abc,cde->abd", "abc,cda->abda", "a b,bc->a c d"]:
        assert not attention._shared(equation), equation
    assert attention._shared("a b c, c d -> a b d") == 1


@pytest.mark.parametrize(
    "run",
    [
        keras.activations.gelu,
        lambda x: keras.activations.gelu(x, approximate=True),
        keras.activations.silu,
        lambda x: keras.ops.silu(keras.ops.gelu(x)),
    ],
)
@pytest.mark.parametrize("columns", [8, 2**16])
def test_activations_are_those_of_keras(run: Callable[..., Any], columns: int) -> None:
    x = np.random.default_rng(0).normal(0.0, 3.0, (5, columns)).astype("float32")
    kinds = alike(run, [], x)
    assert any("PartitionedCall" in kind for kind in kinds) == (columns > 8)
    alike(run, [], x, batch=None)
    half = tf.cast(x, tf.float16)
    theirs = run(half)
    with patched(attention.attention_kernels()):
        assert (run(half).numpy() == theirs.numpy()).all()
