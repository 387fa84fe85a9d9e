"""TensorFlow's SavedModel: a folder that `tf.saved_model.load` and TensorFlow Serving take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from trainkit.backend.compat import flat_layers, raw_variable
from trainkit.export.processes import disk_error
from trainkit.export.serving import Serving

__all__ = ["write"]


def write(serving: Serving, folder: Path, *, batch: int | None = None) -> None:
    """Write a SavedModel with the signature `serving_default`.

    Keras's `model.export` traces without `training=False`, so that dropout would go on in serving.

    Args:
        serving: The model.
        folder: Where to.
        batch: Rows of a call; None: any number.

    Raises:
        OSError: if the disk does not take it.
    """
    model = serving.model
    # What the function reads, and no more: the model itself would bring its optimizer along.
    holder = tf.Module()
    holder.weights = [raw_variable(variable) for variable in model.variables]
    holder.layers = flat_layers(model)
    holder.serve = serving.function(batch)
    with _quiet():
        signatures = {"serving_default": holder.serve.get_concrete_function()}
        try:
            tf.saved_model.save(holder, str(folder), signatures=signatures)
        except tf.errors.OpError as error:  # of a full disk alone, TensorFlow has several kinds
            raise disk_error(str(error)) or error from error


@contextmanager
def _quiet() -> Iterator[None]:
    """In the block, TensorFlow logs errors alone: it warns of every lookup table that it saves."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(before)
