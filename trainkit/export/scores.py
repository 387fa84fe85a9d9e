"""Loss and metrics of outputs that a file gave."""

from __future__ import annotations

import keras
import tensorflow as tf

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, one_line
from trainkit.export.runtimes import Named
from trainkit.export.serving import Serving

__all__ = ["check_labels", "metrics_of"]


def check_labels(serving: Serving, rows: Arrays, outputs: Named) -> None:
    """Refuse labels by which the outputs of a file cannot be scored.

    Args:
        serving: A model.
        rows: Rows with their labels.
        outputs: What the model gives for them.

    Raises:
        UserError: with what the loss says.
    """
    if rows.y is not None and serving.model.compiled:
        try:
            metrics_of(serving, rows, outputs)
        except (ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError) as error:
            said = one_line(str(error))[:200]
            raise UserError(f"The labels of the rows do not fit the model's loss: {said}") from error


def metrics_of(serving: Serving, rows: Arrays, outputs: Named) -> dict[str, float]:
    """The loss and the metrics that a model is compiled with, of given outputs."""
    model = serving.model
    structure = keras.tree.map_structure(
        lambda t: 0, model(serving.packed(serving.rows(rows.x, 1)), training=False)
    )
    predicted = keras.tree.pack_sequence_as(structure, [tf.constant(value) for value in outputs.values()])
    labels = keras.tree.map_structure(tf.constant, rows.y)
    weight = None if rows.weight is None else keras.tree.map_structure(tf.constant, rows.weight)
    model.reset_metrics()
    loss = model.compute_loss(x=None, y=labels, y_pred=predicted, sample_weight=weight, training=False)
    found = model.compute_metrics(None, labels, predicted, weight)
    model.reset_metrics()
    return {name: float(value) for name, value in {**found, "loss": loss}.items()}
