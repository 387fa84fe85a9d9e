"""What a layer holds beside its settings and variables, which a program takes in as constants: the table of
a lookup, the statistics that a layer was adapted to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["held_values"]

TRACKING = "_self_"  # attributes in which TensorFlow lists the others once more


def held_values(layer: keras.Layer, beside: Collection[str]) -> list[tuple[str, str]]:
    """Each attribute of a layer that holds arrays, tensors or tables, with a digest of what they hold.

    Args:
        layer: The layer.
        beside: Attributes that a program reads from variables.
    """
    found = []
    for name, value in sorted(vars(layer).items()):
        parts = [] if name in beside or name.startswith(TRACKING) else list(_parts(value))
        if parts:
            found.append((name, hashlib.sha256(b"\0".join(parts)).hexdigest()))
    return found


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, (np.ndarray, np.generic, tf.Tensor)):
        # Of a tensor in a graph, such as an input of a functional model, only the kind is known.
        yield _bytes(value) if not isinstance(value, tf.Tensor) or hasattr(value, "numpy") else b"graph"
    elif isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        yield from _parts(tf.nest.flatten(value, expand_composites=True))
    elif hasattr(value, "export") and hasattr(value, "lookup"):  # a table of TensorFlow
        if int(value.size()):
            keys, values = (array.numpy().tolist() for array in value.export())
            yield repr(sorted(zip(keys, values, strict=True), key=repr)).encode()  # in no order of its own
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (repr(key).encode() + part for part in _parts(item))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)


def _bytes(value: Any) -> bytes:
    array = np.asarray(value)
    content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
    return f"{array.dtype} {array.shape} ".encode() + content
