"""Metrics that do not fit the outputs, which only a batch with a number of rows shows."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.core.errors import UserError, one_line
from trainkit.core.task import Task
from trainkit.core.tree import leaves, map_leaves
from trainkit.engine.objective import own_objective
from trainkit.trainer.model_checks import ModelFacts, traced

__all__ = ["check_metrics"]


def check_metrics(task: Task, model: keras.Model, spec: Any, facts: ModelFacts, rows: int) -> None:
    """Refuse metrics that cannot compare the outputs of a batch with its labels, such as an error of numbers
    for the scores of classes.

    Args:
        task: The task.
        model: Compiled and built.
        spec: Structure `(x[, y[, weight]])` of `tf.TensorSpec` of one row.
        facts: What a batch of any number of rows showed.
        rows: Of a batch.

    Raises:
        UserError: naming the shapes.
    """
    own = own_objective(task) or facts.own_train_step or facts.outputs is None
    if own or not compat.given_metrics(model):
        return
    outputs = keras.tree.flatten(facts.outputs)
    if not all(output.shape[:1] == (None,) for output in outputs) or not _may_misfit(model, spec, outputs):
        return
    given = keras.tree.map_structure(lambda o: tf.TensorSpec(o.shape[1:], o.dtype), facts.outputs)

    def measured(outputs: Any, *batch: Any) -> Any:
        x, y, weight = (*batch, None, None)[:3]
        return model.compute_metrics(x, y, outputs, sample_weight=weight)

    try:
        traced(measured, (given, *spec), rows)
    except Exception as error:  # whatever a metric raises, the first step would raise it
        shapes = [tuple(output.shape[1:]) for output in outputs]
        raise UserError(
            f"Task {task.name}: metrics() do not fit the model's outputs {shapes} and the labels "
            f"{_shapes(spec)} (per row): {one_line(str(error))[:300]}"
        ) from error


def _may_misfit(model: keras.Model, spec: Any, outputs: list[Any]) -> bool:
    """Whether labels have other shapes than outputs, and a metric may not be made for that: only then is the
    trace worth its time."""
    labels = [tuple(label.shape) for label in leaves(spec[1])] if len(spec) > 1 else []
    if labels == [tuple(output.shape[1:]) for output in outputs]:
        return False
    metrics = [one for metric in model.metrics for one in (metric, *getattr(metric, "metrics", ()))]
    kinds = {type(one) for one in metrics if not hasattr(one, "metrics")} - {keras.metrics.Mean}
    return not all(_takes_classes(kind) for kind in kinds)


def _takes_classes(kind: type) -> bool:
    """Whether a metric of Keras or trainkit compares scores with the numbers of classes."""
    package = kind.__module__.partition(".")[0]
    return package == "trainkit" or (package == "keras" and kind.__name__.startswith("Sparse"))


def _shapes(spec: Any) -> Any:
    return map_leaves(lambda s: tuple(s.shape), spec[1]) if len(spec) > 1 else None
