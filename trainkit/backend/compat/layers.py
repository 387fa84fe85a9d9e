"""What Keras notes of its layers."""

from __future__ import annotations

import keras

__all__ = ["call_count"]


def call_count(layer: keras.layers.Layer) -> int:
    """How often a layer was called on symbolic tensors: `layer.input` is the input of the first call."""
    return len(layer._inbound_nodes)
