"""Names the step, the rows and the first gradient or weight that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.core.tree import leaves, map_leaves
from trainkit.engine.objective import own_objective
from trainkit.trainer.setup import TrainSetup

__all__ = ["describe"]

MAX_ROWS = 8  # row numbers that the message lists
ADVICE = (
    "Look at these rows, lower optimizer.learning_rate, clip gradients (optimizer.clip.global_norm=1), or "
    "leave such steps out: trainer.on_nonfinite=skip"
)


def describe(
    setup: TrainSetup, epoch: int, start: int, stop: int, weight: str | None, *, copied: bool
) -> str:
    """The error of a training that stops at steps `start : stop` of an epoch, which are not finite.

    Args:
        setup: The task made ready.
        epoch: Number of the epoch, from 0.
        start: First step, from 0.
        stop: Step after the last one.
        weight: First variable that was not finite after these steps.
        copied: Whether the state is that before the steps, so that the gradients can be looked at.
    """
    step = setup.state.step + 1
    where = f"step {step} (step {start + 1} of epoch {epoch + 1})"
    if stop - start > 1:
        where = f"one of the steps {step} to {step + stop - start - 1} (in epoch {epoch + 1})"
    batch, rows = _rows(setup, epoch, start, stop)
    first = _first(setup, batch) if copied and batch is not None else None
    if first is None:
        first = "the loss" if weight is None else f"variable {weight}"
    return f"The training is not finite in {where}: first {first}. It trained {rows}. {ADVICE}."


def _rows(setup: TrainSetup, epoch: int, start: int, stop: int) -> tuple[Any, str]:
    """The batch of a step, if it is one, and its rows in words."""
    source, size = setup.source, setup.shape.step_rows
    batch = next(source.batches(epoch, size, start), None)
    count = len(leaves(batch)[0]) if batch is not None else size
    first, last = start * size, start * size + count * (stop - start)
    if not source.seekable or source.arrays is None:
        return batch, f"rows {first + 1} to {last} of the dataset"
    numbers, of = source.arrays.named(source.order(epoch)[first:last], "training")
    listed = ", ".join(map(str, numbers[:MAX_ROWS]))
    more = f", ... ({len(numbers)} rows)" if len(numbers) > MAX_ROWS else ""
    bad = [] if batch is None or stop - start > 1 else [numbers[i] for i in _bad_rows(batch)]
    values = f"; row {bad[0]} holds values that are not finite" if bad else ""
    kind = "row" if len(numbers) == 1 else "rows"
    return batch if stop - start == 1 else None, f"{kind} {listed}{more} {of}{values}"


def _bad_rows(batch: Any) -> np.ndarray:
    """Places in the batch of rows with a number that is not finite."""
    bad = np.zeros([len(leaves(batch)[0])], bool)
    for array in leaves(batch):
        if np.issubdtype(np.asarray(array).dtype, np.floating):
            bad |= ~np.isfinite(np.reshape(array, [len(bad), -1])).all(1)
    return np.flatnonzero(bad)


def _first(setup: TrainSetup, batch: Any) -> str | None:
    """What is not finite first when the step is computed once more: the outputs, the loss, or a gradient.

    None: nothing of these, or the model computes its step by itself.
    """
    model, task = setup.model, setup.task
    if setup.facts.own_train_step:
        return None
    tensors = map_leaves(tf.constant, batch)
    with tf.GradientTape() as tape:
        if own_objective(task):
            loss, outputs = task.compute(model, tensors, training=True)
        else:
            x, y, weight = compat.unpack_batch(tensors)
            outputs = model(x, training=True)
            loss = compat.model_loss(model, x, y, outputs, weight, True)
    gradients = tape.gradient(loss, model.trainable_weights)
    if not all(bool(tf.reduce_all(tf.math.is_finite(o))) for o in _floats(outputs)):
        return "the outputs of the model"
    for variable, gradient in zip(model.trainable_weights, gradients, strict=True):
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        if values is not None and not bool(tf.reduce_all(tf.math.is_finite(values))):
            return f"the gradient of {variable.path}"
    return "the loss" if not bool(tf.reduce_all(tf.math.is_finite(loss))) else None


def _floats(outputs: Any) -> list[Any]:
    return [o for o in tf.nest.flatten(outputs) if o.dtype.is_floating]
