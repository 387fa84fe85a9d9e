"""Attention of Keras's TensorFlow backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src.backend.tensorflow import nn as nn_ops

__all__ = ["ATTENTION", "mask_attention", "nn_ops"]

ATTENTION = "_dot_product_attention_xla"  # of `nn_ops`: of queries, keys and values of as many heads
mask_attention: Callable[[Any, Any, bool], Any] = nn_ops._apply_masks
