"""Gradients of TensorFlow's operations, and operations with a gradient of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops import gen_nn_ops as gradient_ops

__all__ = ["first_order", "gradient_ops", "recorded"]


def recorded(
    name: str, inputs: Sequence[tf.Tensor], compute: Callable[[], tf.Tensor], gradient: Callable[..., Any]
) -> tf.Tensor:
    """What `compute` returns, as an operation of one's own on every tape.

    `tf.custom_gradient` does the same, and takes longer than the operation.

    Args:
        name: Of the operation.
        inputs: What it depends on.
        compute: Makes the output.
        gradient: From the output and its gradient to the gradients of the inputs.
    """
    with record.stop_recording():
        output = compute()
    record.record_operation(name, [output], list(inputs), lambda upstream: gradient(output, upstream))
    return output


def first_order(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient that has none itself: where a tape watches it, as for a gradient penalty, it raises
    NotImplementedError when it is traced."""

    def checked(*upstream: tf.Tensor) -> Any:
        if record.could_possibly_record():
            raise NotImplementedError("This operation has no second derivative.")
        return gradient(*upstream)

    return checked
