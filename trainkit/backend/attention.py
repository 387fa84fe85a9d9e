"""Attention and activations without XLA, on a CPU: the same mathematics as Keras's, in fewer passes over
memory. Each is measured against Keras's own; what does not win is left alone (softmax, layer normalisation).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat.attention import ATTENTION, mask_attention, nn_ops
from trainkit.backend.patches import Replacement

__all__ = ["attention_kernels"]

FUSED_SIZE = (
    2**17
)  # elements of an activation that XLA fuses, at the least: it takes 30 microseconds to start


def attention_kernels() -> list[Replacement]:
    """What takes the place of projections, attention, and activations of many operations."""
    usual = compat.numpy_ops.einsum
    return [
        Replacement(compat.numpy_ops, "einsum", _einsum(usual)),
        Replacement(nn_ops, ATTENTION, _attention(getattr(nn_ops, ATTENTION))),
        *(Replacement(nn_ops, name, _fused(getattr(nn_ops, name))) for name in ("gelu", "silu")),
    ]


def _einsum(usual: Callable[..., Any]) -> Callable[..., Any]:
    """The sum as one product of matrices, where it is one. TensorFlow makes it a product for each row of the
    batch, and so many gradients of a kernel to be summed."""

    def einsum(subscripts: str, *operands: Any, **options: Any) -> tf.Tensor:
        shared = _shared(subscripts) if len(operands) == 2 and not options else 0
        if not shared:
            return usual(subscripts, *operands, **options)
        left, right = (tf.convert_to_tensor(one) for one in operands)
        fits = left.dtype == right.dtype and left.dtype.is_floating and right.shape.is_fully_defined()
        if not fits or [left.shape.rank, right.shape.rank] != _ranks(subscripts):
            return usual(subscripts, *operands, **options)
        width = math.prod(right.shape[:shared])
        product = tf.matmul(tf.reshape(left, [-1, width]), tf.reshape(right, [width, -1]))
        sizes = tf.shape(left)
        known = left.shape[: left.shape.rank - shared]
        rows = [sizes[axis] if size is None else size for axis, size in enumerate(known)]
        return tf.reshape(product, [*rows, *right.shape[shared:]])

    return einsum


def _shared(subscripts: str) -> int:
    """Axes that end the first operand, begin the second, and are summed, if the sum is nothing else than
    that; else 0: `abc,cde->abde` has 1."""
    operands, arrow, result = subscripts.replace(" ", "").partition("->")
    left, comma, right = operands.partition(",")
    if not arrow or not comma or not (left + right + result).isalpha():
        return 0
    for count in range(1, min(len(left), len(right))):
        plain = left[-count:] == right[:count] and result == left[:-count] + right[count:]
        if plain and len({*left, *right}) == len(left) + len(right) - count:
            return count
    return 0


def _ranks(subscripts: str) -> list[int]:
    return [len(one) for one in subscripts.replace(" ", "").partition("->")[0].split(",")]


def _attention(usual: Callable[..., Any]) -> Callable[..., Any]:
    def attention(
        query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: Any, mask: Any, is_causal: bool, scale: Any
    ) -> tf.Tensor:
        if query.dtype != tf.float32 or bias is not None or query.shape[2] != key.shape[2]:
            return usual(query, key, value, bias, mask, is_causal, scale)
        query, key, value = (tf.transpose(one, [0, 2, 1, 3]) for one in (query, key, value))
        # Scaled before the product, where there is less to scale.
        scores = tf.matmul(query * tf.cast(scale, query.dtype), key, transpose_b=True)
        shares = tf.nn.softmax(mask_attention(scores, mask, is_causal))
        return tf.transpose(tf.matmul(shares, value), [0, 2, 1, 3])

    return attention


def _fused(usual: Callable[..., Any]) -> Callable[..., Any]:
    def activation(x: Any, *options: Any, **more: Any) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        if x.dtype != tf.float32 or not x.shape.is_fully_defined() or x.shape.num_elements() < FUSED_SIZE:
            return usual(x, *options, **more)
        forward, backward = _compiled(usual, options, tuple(more.items()))

        @tf.custom_gradient
        def run(x: tf.Tensor) -> Any:
            return forward(x), lambda gradient: backward(x, gradient)

        return run(x)

    return activation


@functools.cache
def _compiled(
    usual: Callable[..., Any], options: tuple[Any, ...], more: tuple[tuple[str, Any], ...]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An activation and its gradient, compiled once for all layers of the same shapes."""

    def forward(x: tf.Tensor) -> tf.Tensor:
        return usual(x, *options, **dict(more))

    def backward(x: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        return tape.gradient(y, x, gradient)

    both = (tf.function(one, autograph=False, jit_compile=True) for one in (forward, backward))
    first, second = (compat.without_tracing_warning(one) for one in both)
    return first, second
