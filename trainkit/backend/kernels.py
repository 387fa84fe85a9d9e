"""Faster kernels that take the place of Keras's own while a training step is traced: the same mathematics,
other rounding.

Everywhere: dropout masks from threefry bits, so that a training draws the same masks with and without XLA
(but for short fits, see `trainer.short_trainings`); Adam as one operation a variable (`backend.adam`); LSTM
and GRU with loops of their own (`backend.recurrent`). Under XLA: bfloat16 products that sum in float32; ReLU
and biases that are compiled quickly (`backend.lowering`). Elsewhere: batch normalisation as one operation,
where Keras's takes a dozen; attention and its activations (`backend.attention`). A parity run does without
them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.adam import fused_adam
from trainkit.backend.attention import attention_kernels
from trainkit.backend.lowering import lowered_directly
from trainkit.backend.patches import Replacement
from trainkit.backend.recurrent import recurrent_kernels
from trainkit.backend.traced_values import TracedFloat

__all__ = ["dropout_mask", "fast_kernels", "threefry"]

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


PARITY = 0x1BD11BDA


ROUNDS = 13  # the fewest that pass BigCrush; the usual 20 leave a margin that masks have no use for


SMALLEST_EPSILON = 1.001e-5  # that the batch normalisation of GPUs takes


def fast_kernels(xla: bool, *, recurrent: bool = True, masks: bool = True) -> list[Replacement]:
    """The kernels for a program that XLA compiles, or for one that it does not.

    Args:
        xla: Whether XLA compiles the program.
        recurrent: Whether those of recurrent layers are among them.
        masks: Whether those of dropout are among them, outside of XLA.
    """
    found = fused_adam()
    if xla or masks:
        found.append(Replacement(compat.random_ops, "dropout", _dropout(compat.random_ops.dropout, xla)))
    gpu = bool(tf.config.list_logical_devices("GPU"))
    if recurrent and not gpu:
        found += recurrent_kernels(xla)
    if xla:
        if not gpu:
            found.append(Replacement(compat.numpy_ops, "matmul", _matmul(compat.numpy_ops.matmul)))
            found += lowered_directly()
        return found
    layer = keras.layers.BatchNormalization
    found.append(Replacement(layer, "call", _batch_normalization(layer.call)))
    return found if gpu else [*found, *attention_kernels()]


def _dropout(usual: Callable[..., Any], xla: bool) -> Callable[..., Any]:
    def dropout(inputs: tf.Tensor, rate: float, noise_shape: Any = None, seed: Any = None) -> tf.Tensor:
        if rate == 0.0:
            return inputs
        if rate == 1.0:
            return tf.zeros_like(inputs)
        sizes = _static_sizes(inputs, noise_shape)
        if sizes is None:  # threefry needs to know how many bits to draw
            return usual(inputs, rate, noise_shape=noise_shape, seed=seed)
        drawn = compat.cast_seed(seed)
        share = rate.exact if isinstance(rate, TracedFloat) else rate
        kept = dropout_mask(sizes, share, drawn) if xla else _compiled_mask(sizes)(_limit(share), drawn)
        scaled = inputs * tf.cast(1.0 / (1.0 - share), inputs.dtype)
        return tf.where(kept, scaled, tf.zeros_like(inputs))

    return dropout


def _static_sizes(inputs: tf.Tensor, noise_shape: Any) -> tuple[int, ...] | None:
    """The shape of a mask, with the sizes of `inputs` where `noise_shape` leaves them open; None: it is not
    known before the run."""
    if inputs.shape.rank is None:
        return None
    whole = [None] * inputs.shape.rank if noise_shape is None else list(noise_shape)
    sizes = [inputs.shape[i] if n is None else tf.get_static_value(n) for i, n in enumerate(whole)]
    return None if None in sizes else tuple(int(n) for n in sizes)


@functools.lru_cache(64)
def _compiled_mask(shape: tuple[int, ...]) -> Any:
    """Threefry exists under XLA only: in a program without XLA, the mask alone is compiled, once for all
    programs."""

    def mask(limit: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _mask(shape, limit, seed)

    return compat.without_tracing_warning(tf.function(mask, autograph=False, jit_compile=True))


def _limit(rate: float | tf.Tensor) -> tf.Tensor:
    """The least 16-bit number of an entry that is kept."""
    return (
        tf.cast(tf.round(rate * 2**16), tf.int32) if tf.is_tensor(rate) else tf.constant(round(rate * 2**16))
    )


def dropout_mask(shape: tuple[int, ...], rate: float | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A boolean mask `shape`, True with probability `1 - rate`, exact to 2**-17. Under XLA only.

    Args:
        shape: Known sizes.
        rate: Share of entries that are False, from 0 to 1; a number or a float64 tensor.
        seed: `[2]` int32, the key; entry `i` depends on the key and on `i` alone.
    """
    return _mask(shape, _limit(rate), seed)


def _mask(shape: tuple[int, ...], limit: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    size = math.prod(int(n) for n in shape)
    count = -(-size // 4)
    key = tf.bitcast(tf.cast(seed, tf.int32), tf.uint32)
    counters = tf.bitcast(tf.range(count, dtype=tf.int32), tf.uint32)

    def draw() -> tuple[tf.Tensor, tf.Tensor]:
        return threefry(key[0], key[1], counters, tf.zeros_like(counters))

    if tf.config.list_logical_devices("GPU"):
        a, b = draw()
    else:
        # XLA on a CPU would put the generator into every operation that reads the mask, and draw each word
        # four times in each. A condition that it
        # cannot decide keeps it out: the words are drawn once, and nobody ever takes the other branch.
        a, b = tf.cond(tf.reduce_all(seed >= seed.dtype.min), draw, lambda: (counters, counters))
    rows = tf.range(4)[:, None]
    words = tf.where(
        tf.broadcast_to(rows < 2, [4, count]), tf.broadcast_to(a, [4, count]), tf.broadcast_to(b, [4, count])
    )
    shifts = tf.broadcast_to(tf.cast(rows % 2 * 16, tf.uint32), [4, count])
    halves = tf.bitcast(
        tf.bitwise.bitwise_and(tf.bitwise.right_shift(words, shifts), tf.constant(0xFFFF, tf.uint32)),
        tf.int32,
    )
    return tf.reshape(tf.reshape(halves, [4 * count])[:size], shape) >= limit


def threefry(
    k0: tf.Tensor, k1: tf.Tensor, x0: tf.Tensor, x1: tf.Tensor, rounds: int = ROUNDS
) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 of a key and counters, all uint32 (Salmon et al., Parallel random numbers: as easy as 1,
    2, 3, 2011).

    TensorFlow's own ends in a concatenation, which XLA on a CPU compiles to a branch an element: four times
    slower.
    """
    bits = tf.bitwise
    keys = (k0, k1, bits.bitwise_xor(bits.bitwise_xor(k0, k1), tf.constant(PARITY, tf.uint32)))
    x0, x1 = x0 + k0, x1 + k1
    for turn in range(rounds):
        by = ROTATIONS[turn % 8]
        x0 = x0 + x1
        turned = bits.bitwise_or(
            bits.left_shift(x1, tf.constant(by, tf.uint32)),
            bits.right_shift(x1, tf.constant(32 - by, tf.uint32)),
        )
        x1 = bits.bitwise_xor(turned, x0)
        if turn % 4 == 3:
            number = turn // 4 + 1
            x0, x1 = x0 + keys[number % 3], x1 + keys[(number + 1) % 3] + tf.constant(number, tf.uint32)
    return x0, x1


def _matmul(usual: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def matmul(x1: Any, x2: Any) -> Any:
        sides = [tf.convert_to_tensor(x) if isinstance(x, keras.Variable) else x for x in (x1, x2)]
        if not all(_is_bfloat16_matrix(x) for x in sides):
            return usual(x1, x2)
        # A layer's kernel is float32, and the policy would round it: its gradient, a float32 sum, need not be
        # rounded.
        kernel = tf.convert_to_tensor(compat.raw_variable(x2))
        return _bfloat16_product(sides[0], kernel)

    return matmul


def _is_bfloat16_matrix(x: Any) -> bool:
    return isinstance(x, tf.Tensor) and x.dtype == tf.bfloat16 and x.shape.rank == 2


@tf.custom_gradient
def _bfloat16_product(
    x: tf.Tensor, kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """The product of matrices `[m, k]` and `[k, n]` in bfloat16, summed in float32 and rounded once.

    `x` comes in bfloat16; `kernel` is rounded to it. XLA on a CPU widens the operands of a bfloat16 product
    to float32 first; asked for a float32 result, it uses the processor's bfloat16 instructions.
    """
    rounded = tf.cast(kernel, x.dtype)

    def gradient(g: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(_float32_sum(g, rounded, 1, 1), x.dtype), tf.cast(
            _float32_sum(x, g, 0, 0), kernel.dtype
        )

    return tf.cast(_float32_sum(x, rounded, 1, 0), x.dtype), gradient


def _float32_sum(a: tf.Tensor, b: tf.Tensor, axis_a: int, axis_b: int) -> tf.Tensor:
    """The product of two bfloat16 matrices, summed in float32 over an axis of each; it has gradients of any
    order, as a gradient penalty needs."""

    @tf.custom_gradient
    def product(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            g = tf.cast(upstream, a.dtype)
            of_a = (g, b, 1, 1 - axis_b) if axis_a else (b, g, 1 - axis_b, 1)
            of_b = (g, a, 0, 1 - axis_a) if axis_b else (a, g, 1 - axis_a, 0)
            return tf.cast(_float32_sum(*of_a), a.dtype), tf.cast(_float32_sum(*of_b), b.dtype)

        return compat.xla_dot(a, b, [axis_a], [axis_b]), gradient

    made: tf.Tensor = product(a, b)
    return made


def _batch_normalization(usual: Callable[..., Any]) -> Callable[..., Any]:
    def call(
        self: keras.layers.BatchNormalization,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: Any = None,
    ) -> tf.Tensor:
        last = self.axis in (-1, inputs.shape.rank - 1)
        renorm = getattr(self, "renorm", False)  # Keras has it from 3.14 on
        special = mask is not None or renorm or self.synchronized or self.epsilon < SMALLEST_EPSILON
        if (
            not (training and self.trainable)
            or special
            or not last
            or inputs.dtype not in (tf.float32, tf.bfloat16)
            or self.variable_dtype != "float32"
        ):
            return usual(self, inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        gamma = tf.cast(self.gamma, tf.float32) if self.scale else tf.ones([channels])
        beta = tf.cast(self.beta, tf.float32) if self.center else tf.zeros([channels])
        rows = tf.reshape(inputs, [-1, 1, 1, channels]) if inputs.shape.rank != 4 else inputs
        none = tf.constant([], tf.float32)
        fused = tf.raw_ops.FusedBatchNormV3(
            x=rows, scale=gamma, offset=beta, mean=none, variance=none, epsilon=self.epsilon, is_training=True
        )
        outputs, mean, variance = fused[:3]
        count = tf.cast(tf.size(rows) // channels, tf.float32)
        variance = variance * ((count - 1.0) / count)  # the operation divides by count - 1, Keras by count
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return tf.reshape(outputs, tf.shape(inputs))

    return call
