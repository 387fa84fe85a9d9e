"""What TensorFlow notes of the variables that a graph holds by a handle."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops import handle_data_util

__all__ = ["shape_of"]


def shape_of(tensor: tf.Tensor) -> list[int | None]:
    """The sizes of a tensor, or of the variable that it is the handle of; None where a size is not known.

    Raises:
        ValueError: if not even the number of axes is known.
    """
    if tensor.dtype != tf.resource:
        return list(tensor.shape.as_list())
    known = handle_data_util.get_resource_handle_data(tensor)
    if not known.is_set:
        raise ValueError(f"Nothing is known of the variable of {tensor.name}.")
    return list(tf.TensorShape(known.shape_and_type[0].shape).as_list())
