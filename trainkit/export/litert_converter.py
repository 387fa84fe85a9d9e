"""Converts a SavedModel to LiteRT. A process of its own, since the converter prints much and may crash:

python -P litert_converter.py saved_model none model.tflite [rows.npz]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["convert"]


def convert(folder: str, quantize: str, file: str, rows: str = "") -> None:
    """Write a LiteRT file.

    Args:
        folder: A SavedModel with the signature `serving_default`.
        quantize: `none`, `dynamic` or `int8`.
        file: Where to.
        rows: An npz file of named training rows, which `int8` needs.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "int8":
        converter.representative_dataset = lambda: _one_by_one(rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content = converter.convert()
    Interpreter(model_content=content).allocate_tensors()  # the converter also writes what cannot be loaded
    Path(file).write_bytes(content)


def _one_by_one(rows: str) -> Iterator[Any]:
    with np.load(rows) as stored:
        columns = {name: stored[name] for name in stored.files}
    for i in range(len(next(iter(columns.values())))):
        yield "serving_default", {name: column[i : i + 1] for name, column in columns.items()}


if __name__ == "__main__":
    convert(*sys.argv[1:])
