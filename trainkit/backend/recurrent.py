"""LSTM and GRU whose time steps XLA compiles, with a gradient of their own: the same mathematics as Keras's.

Two thirds of the work leave the loop: the inputs' products come before it, as one product, and the gradient
of the recurrent kernel after it. Each loop is compiled by XLA even in a program that is not, where starting
a dozen operations per time step would cost more than they do; and there each core runs rows of its own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat.gradients import first_order
from trainkit.backend.devices import has_gpu
from trainkit.backend.patches import Replacement
from trainkit.backend.replica import replica

__all__ = ["recurrent_kernels", "takes"]

ROWS = 8  # of a part of a batch, at the least
Tensors = Sequence[tf.Tensor]


def recurrent_kernels(xla: bool) -> list[Replacement]:
    """What takes the place of the loops of Keras's LSTM and GRU, where they are used as they come.

    Args:
        xla: Whether XLA compiles the whole program.
    """
    return [
        Replacement(layer, "inner_loop", _inner_loop(layer.inner_loop, functools.partial(run, xla), xla))
        for layer, run in ((keras.layers.LSTM, _lstm), (keras.layers.GRU, _gru))
    ]


def takes(layer: Any) -> bool:
    """Whether a recurrent layer trains with these kernels: all others run Keras's own loop."""
    cell: Any = getattr(layer, "cell", None)
    if type(cell) not in (keras.layers.LSTMCell, keras.layers.GRUCell):
        return False
    usual = cell.activation is keras.activations.tanh and cell.use_bias and cell.compute_dtype == "float32"
    usual = usual and cell.recurrent_activation is keras.activations.sigmoid
    usual = usual and getattr(cell, "reset_after", True) and not layer.unroll
    dropped = cell.dropout > 0.0 or cell.recurrent_dropout > 0.0
    return usual and not dropped and not getattr(layer, "zero_output_for_mask", False)


def _inner_loop(usual: Callable[..., Any], run: Callable[..., Any], xla: bool) -> Callable[..., Any]:
    def inner_loop(
        self: Any, sequences: tf.Tensor, initial_state: Any, mask: Any, training: bool = False
    ) -> Any:
        states = keras.tree.flatten(initial_state)
        masks = [mask for mask in keras.tree.flatten(mask) if mask is not None]
        known = sequences.shape.rank == 3 and None not in sequences.shape[1:]
        known = known and len(masks) < 2 and all(mask.shape.rank == 2 for mask in masks)
        if not takes(self) or not known or sequences.dtype != tf.float32:
            return usual(self, sequences, initial_state, mask, training=training)
        given = [sequences, *states, *masks]
        sizes = [None] if xla else _parts(sequences.shape[0])
        pieces = zip(*(tf.split(one, sizes) if len(sizes) > 1 else [one] for one in given), strict=True)
        done = [_one_part(self, run, len(states), *piece) for piece in pieces]
        found = [tf.concat(parts, 0) for parts in zip(*done, strict=True)] if len(done) > 1 else done[0]
        return found[0], found[1], list(found[2:])

    return inner_loop


def _parts(rows: int | None) -> list[int | None]:
    """Rows of the parts of a batch that run side by side: the time steps of each are one after the other,
    and the products of one are too small for several cores."""
    cores = (os.cpu_count() or 1) // replica().count
    if rows is None or has_gpu():
        return [None]
    count = max(1, min(cores, rows // ROWS))
    return [rows // count + (part < rows % count) for part in range(count)]


def _one_part(layer: Any, run: Callable[..., Any], number: int, sequences: tf.Tensor, *given: Any) -> Tensors:
    """The last output, all outputs and the states, of some rows; `given`: `number` states, and a mask."""
    inputs = tf.transpose(sequences, [1, 0, 2])
    kept = tf.transpose(tf.cast(given[number], tf.bool)) if len(given) > number else None
    if layer.go_backwards:
        inputs = tf.reverse(inputs, [0])
        kept = None if kept is None else tf.reverse(kept, [0])
    found = run(layer.cell, inputs, kept, layer.return_sequences, *given[:number])
    states = found[-number:]
    outputs = found[0] if layer.return_sequences else states[0][None]
    if kept is not None:  # before the first time step that counts, Keras gives zeros, whatever the state
        begun = tf.cast(tf.math.cumsum(tf.cast(kept, tf.int32)) > 0, outputs.dtype)[:, :, None]
        outputs *= begun if layer.return_sequences else begun[-1:]
    return outputs[-1], tf.transpose(outputs, [1, 0, 2]), *states


def _projected(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Inputs `[T, B, F]` by a kernel `[F, n]`, as one product: `[T, B, n]`."""
    shape = tf.shape(inputs)
    rows = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[2]]), kernel) + bias
    return tf.reshape(rows, [inputs.shape[0], shape[1], kernel.shape[1]])


def _product_over_time(states: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """The gradient of a recurrent kernel `[u, n]`, of states `[T, B, u]` and gradients `[T, B, n]`."""
    left = tf.reshape(states, [-1, states.shape[2]])
    return tf.matmul(left, tf.reshape(gradients, [-1, gradients.shape[2]]), transpose_a=True)


def _before(first: tf.Tensor, states: tf.Tensor) -> tf.Tensor:
    """The state before each time step, of the first and of those after each."""
    return tf.concat([first[None], states[:-1]], 0)


def _over_time(
    count: int,
    body: Callable[..., tuple[Tensors, Tensors]],
    states: Tensors,
    widths: int,
    *,
    back: bool = False,
) -> tuple[Tensors, Tensors]:
    """Run `body(t, *states) -> (states, values)` over time, or back through it.

    Returns:
        The last states, and of each of `widths` values all, `[T, ...]`.
    """
    number = len(states)

    def step(t: tf.Tensor, *carried: Any) -> tuple[Any, ...]:
        states, values = body(t, *carried[:number])
        arrays = [array.write(t, value) for array, value in zip(carried[number:], values, strict=True)]
        return (t - 1 if back else t + 1, *states, *arrays)

    def going(t: tf.Tensor, *_: Any) -> tf.Tensor:
        return t >= 0 if back else t < count

    arrays = [tf.TensorArray(tf.float32, count) for _ in range(widths)]
    begin = (tf.constant(count - 1 if back else 0), *states, *arrays)
    done = tf.while_loop(going, step, begin, parallel_iterations=1, maximum_iterations=count)
    return done[1 : 1 + number], [array.stack() for array in done[1 + number :]]


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A loop that XLA compiles once for all layers, directions and parts of a batch of the same shapes."""
    loop = tf.function(function, autograph=False, jit_compile=True)
    compiled: Callable[..., Any] = compat.without_tracing_warning(loop)
    return compiled


def _chosen(kept: tf.Tensor | None, t: tf.Tensor, new: Tensors, old: Tensors) -> Tensors:
    """Rows of `new` where the mask `[T, B]` keeps the time step, else of `old`."""
    if kept is None:
        return new
    rows = kept[t][:, None]
    return [tf.where(rows, one, other) for one, other in zip(new, old, strict=True)]


def _known(states: Tensors, units: int) -> Tensors:
    """States of whose width the graph need not know, such as what a reshape gives."""
    return [tf.ensure_shape(state, [None, units]) for state in states]


def _lstm_forward(
    projected: tf.Tensor, recurrent: tf.Tensor, kept: tf.Tensor | None, h: tf.Tensor, c: tf.Tensor
) -> tuple[Tensors, Tensors]:
    units = recurrent.shape[0]

    def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[Tensors, Tensors]:
        total = projected[t] + tf.matmul(h, recurrent)
        gates = [tf.sigmoid(total[:, : 3 * units]), tf.tanh(total[:, 3 * units :])]
        i, f, o = tf.split(gates[0], 3, -1)
        cell = f * c + i * gates[1]
        h, c = _chosen(kept, t, (o * tf.tanh(cell), cell), (h, c))
        return (h, c), (tf.concat(gates, -1), c, h)

    return _over_time(projected.shape[0], step, (h, c), 3)


def _lstm_backward(
    recurrent: tf.Tensor,
    gates: tf.Tensor,
    cells: tf.Tensor,
    before: tf.Tensor,
    kept: tf.Tensor | None,
    *given: tf.Tensor,
) -> tuple[Tensors, Tensors]:
    *each, dh, dc = given
    across = tf.transpose(recurrent)

    def step(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor) -> tuple[Tensors, Tensors]:
        dh = dh + each[0][t] if each else dh
        i, f, o, g = tf.split(gates[t], 4, -1)
        none = tf.zeros_like(dh)
        rest = _chosen(kept, t, (none, none), (dh, dc))
        dh, dc = _chosen(kept, t, (dh, dc), (none, none))
        shown = tf.tanh(cells[t])
        dc = dc + dh * o * (1.0 - shown * shown)
        inner = [dc * g * i * (1.0 - i), dc * before[t] * f * (1.0 - f)]
        total = tf.concat([*inner, dh * shown * o * (1.0 - o), dc * i * (1.0 - g * g)], -1)
        return (tf.matmul(total, across) + rest[0], dc * f + rest[1]), (total,)

    return _over_time(gates.shape[0], step, (dh, dc), 1, back=True)


def _lstm(
    xla: bool, cell: Any, inputs: tf.Tensor, kept: tf.Tensor | None, sequences: bool, *states: tf.Tensor
) -> Tensors:
    def ordered(weight: Any) -> tf.Tensor:  # as input, forget, output, cell: the sigmoids side by side
        i, f, c, o = tf.split(tf.convert_to_tensor(weight), 4, -1)
        return tf.concat([i, f, o, c], -1)

    @tf.custom_gradient
    def run(projected: tf.Tensor, recurrent: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> Any:
        last, (gates, cells, hidden) = _compiled(_lstm_forward)(projected, recurrent, kept, h, c)

        def gradient(*given: tf.Tensor) -> Tensors:
            before = _before(c, cells)
            states, (total,) = _compiled(_lstm_backward)(recurrent, gates, cells, before, kept, *given)
            return total, _product_over_time(_before(h, hidden), total), *states

        return ((hidden, *last) if sequences else tuple(last)), gradient if xla else first_order(gradient)

    projected = _projected(inputs, ordered(cell.kernel), ordered(cell.bias))
    found: Tensors = run(projected, ordered(cell.recurrent_kernel), *_known(states, cell.units))
    return found


def _gru_forward(
    projected: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor, kept: tf.Tensor | None, h: tf.Tensor
) -> tuple[Tensors, Tensors]:
    units = recurrent.shape[0]

    def step(t: tf.Tensor, h: tf.Tensor) -> tuple[Tensors, Tensors]:
        inner = tf.matmul(h, recurrent) + bias
        gates = tf.sigmoid(projected[t][:, : 2 * units] + inner[:, : 2 * units])
        z, r = tf.split(gates, 2, -1)
        inner = inner[:, 2 * units :]
        new = tf.tanh(projected[t][:, 2 * units :] + r * inner)
        (h,) = _chosen(kept, t, (z * h + (1.0 - z) * new,), (h,))
        return (h,), (tf.concat([gates, new, inner], -1), h)

    return _over_time(projected.shape[0], step, (h,), 2)


def _gru_backward(
    recurrent: tf.Tensor, gates: tf.Tensor, before: tf.Tensor, kept: tf.Tensor | None, *given: tf.Tensor
) -> tuple[Tensors, Tensors]:
    *each, dh = given
    across = tf.transpose(recurrent)

    def step(t: tf.Tensor, dh: tf.Tensor) -> tuple[Tensors, Tensors]:
        dh = dh + each[0][t] if each else dh
        z, r, new, inner = tf.split(gates[t], 4, -1)
        none = tf.zeros_like(dh)
        (rest,) = _chosen(kept, t, (none,), (dh,))
        (dh,) = _chosen(kept, t, (dh,), (none,))
        total = dh * (1.0 - z) * (1.0 - new * new)
        both = [dh * (before[t] - new) * z * (1.0 - z), total * inner * r * (1.0 - r)]
        over = tf.concat([*both, total * r], -1)
        return (dh * z + tf.matmul(over, across) + rest,), (tf.concat([*both, total], -1), over)

    return _over_time(gates.shape[0], step, (dh,), 2, back=True)


def _gru(
    xla: bool, cell: Any, inputs: tf.Tensor, kept: tf.Tensor | None, sequences: bool, *states: tf.Tensor
) -> Tensors:
    @tf.custom_gradient
    def run(projected: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor, h: tf.Tensor) -> Any:
        last, (gates, hidden) = _compiled(_gru_forward)(projected, recurrent, bias, kept, h)
        before = _before(h, hidden)

        def gradient(*given: tf.Tensor) -> Tensors:
            states, (total, over) = _compiled(_gru_backward)(recurrent, gates, before, kept, *given)
            return total, _product_over_time(before, over), tf.reduce_sum(over, [0, 1]), *states

        return ((hidden, *last) if sequences else tuple(last)), gradient if xla else first_order(gradient)

    kernel, recurrent, (first, second) = cell.kernel, cell.recurrent_kernel, tf.unstack(cell.bias)
    projected = _projected(inputs, tf.convert_to_tensor(kernel), first)
    found: Tensors = run(projected, tf.convert_to_tensor(recurrent), second, *_known(states, cell.units))
    return found
