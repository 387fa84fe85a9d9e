"""What the methods of a task return, checked before anything is built from it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat.names import are_taken, first_names
from trainkit.backend.patches import patched
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError, one_line
from trainkit.core.task import Task
from trainkit.core.tree import map_leaves, named_leaves
from trainkit.engine.inputs import row_spec
from trainkit.engine.loss_parts import LossParts, loss_part_reduction
from trainkit.engine.objective import computed, own_objective

__all__ = ["check_members", "check_other_splits", "class_weight", "compiled", "model", "optimizer", "splits"]


# What a task may override.
METHODS = (
    *("data", "model", "loss", "metrics", "loss_weights", "class_weight", "optimizer", "monitor", "compute"),
    *("augmented", "serving_model", "run_files"),
)


def check_members(task: Task) -> None:
    """Refuse a task with something else in place of a method, or of its name, or with a method that cannot be
    called as a training calls it.

    Raises:
        UserError: naming what came.
    """
    if not isinstance(task.name, str) or not task.name:
        came = "a method" if callable(task.name) else repr(task.name)
        raise UserError(
            f"Task {type(task).__name__}: name is {came}; expected a text, as a property or a field."
        )
    for name in METHODS:
        own, ours = getattr(task, name), getattr(Task, name)
        if not callable(own):
            raise UserError(f"Task {task.name}: {name} is {type(own).__name__}; expected a method.")
        if getattr(own, "__func__", None) is not ours:
            _check_call(task, name, own, [*inspect.signature(ours).parameters])


def _check_call(task: Task, name: str, own: Any, parameters: list[str]) -> None:
    """Refuse a method that does not take what is passed to it: all by position, but `training` by name."""
    try:
        signature = inspect.signature(own, follow_wrapped=False)  # a decorator may supply arguments
    except ValueError:  # of a function that is not of Python
        return
    given = [None for parameter in parameters[1:] if parameter != "training"]
    by_name = {"training": True} if "training" in parameters else {}
    try:
        signature.bind(*given, **by_name)
    except TypeError as error:
        call = ", ".join(f"{p}=True" if p in by_name else p for p in parameters[1:])
        raise UserError(
            f"Task {task.name}: {name}{signature} is called as {name}({call}): {error}; "
            f"expected def {name}({', '.join(parameters)})."
        ) from error


def splits(task: Task) -> Splits:
    """The rows of a task.

    Raises:
        UserError: for anything but `Splits` of numbers and text.
    """
    found = task.data()
    if isinstance(found, Splits) and found.train is None:
        raise UserError(
            f"Task {task.name}: data() returned no training rows; expected trainkit.Splits(train)."
        )
    if not isinstance(found, Splits):
        raise UserError(
            f"Task {task.name}: data() returned {type(found).__name__}; expected trainkit.Splits(train, "
            "validation, test)."
        )
    for name, part in found.in_memory().items():
        for path, array in named_leaves({"x": part.x, "y": part.y, "weight": part.weight}):
            kind = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
            if kind == np.dtype(object):
                is_text = all(isinstance(value, str) for value in np.asarray(array).flat)
                raise UserError(
                    f"Task {task.name}: {path} of the {name} rows has dtype object; expected an array of "
                    f"numbers or text, such as array.astype({'str' if is_text else repr('float32')})."
                )
    return found


def class_weight(task: Task) -> Mapping[int, float] | None:
    """The class weights of a task.

    Raises:
        UserError: for anything but finite numbers by class number.
    """
    found = task.class_weight()
    if found is None:
        return None
    good = isinstance(found, Mapping) and all(
        isinstance(key, (int, np.integer))
        and isinstance(value, (int, float, np.number))
        and math.isfinite(value)
        for key, value in found.items()
    )
    if not good:
        raise UserError(
            f"Task {task.name}: class_weight() returned {found!r}; expected finite numbers by class number, "
            "such as {0: 1.0, 1: 2.5}."
        )
    return found


def optimizer(task: Task) -> keras.optimizers.Optimizer:
    """The optimizer of a task's recipe; a name is read as Keras reads it.

    Raises:
        UserError: for anything else.
    """
    found = task.optimizer()
    try:
        made = keras.optimizers.get(found)
        if made is None:
            raise ValueError("None is no optimizer")
        return made
    except (ValueError, TypeError) as error:
        shown = found if isinstance(found, str) else type(found).__name__
        raise UserError(
            f"Task {task.name}: optimizer() returned {shown}; expected a Keras optimizer or its name, such "
            "as keras.optimizers.Adam(1e-3) or 'adam'."
        ) from error


def model(task: Task, train: Any, seed: int) -> keras.Model:
    """A new model of the task.

    Args:
        task: The task.
        train: Its training rows.
        seed: Of the weights.

    Raises:
        UserError: for something else than a model.
    """
    keras.utils.set_random_seed(seed)
    try:
        with first_names(type(task)):
            made = task.model(train)
    except ValueError as error:
        if not are_taken(error):  # by a layer of a former model that the task uses again
            raise
        keras.utils.set_random_seed(seed)
        made = task.model(train)
    if not isinstance(made, keras.Model):
        raise UserError(f"Task {task.name}: model() returned {type(made).__name__}; expected a keras.Model.")
    return made


def compiled(task: Task, model: keras.Model, by: keras.optimizers.Optimizer) -> keras.Model:
    """The model, compiled with what the task gives.

    Raises:
        UserError: for losses, metrics or weights that Keras cannot read.
    """
    try:
        model.compile(
            optimizer=by,
            loss=task.loss(),
            metrics=task.metrics() or None,
            loss_weights=task.loss_weights(),
            jit_compile=False,
        )
    except (ValueError, TypeError) as error:
        raise UserError(
            f"Task {task.name}: loss(), metrics() and loss_weights() cannot be compiled: "
            f"{one_line(str(error))}"
        ) from error
    return model


def check_other_splits(task: Task, model: keras.Model, parts: Splits, spec: Any) -> None:
    """Refuse validation and test rows that the model cannot take, or that lack labels.

    Args:
        model: Built on the training rows.
        parts: The rows.
        spec: Structure `(x[, y[, weight]])` of one training row.

    Raises:
        UserError: naming the shapes.
    """
    for name in ("validation", "test"):
        part = getattr(parts, name)
        if not isinstance(part, Arrays):
            continue
        other = row_spec(part)
        if len(spec) > 1 and part.y is None:
            raise UserError(f"Task {task.name}: the {name} rows have no labels, and the training rows have.")
        if [_shapes(s) for s in other] == [_shapes(s) for s in spec]:
            continue
        batch = map_leaves(lambda s: keras.KerasTensor((None, *s.shape), s.dtype.name), other)
        different = next(i for i in range(3) if _part(other, i) != _part(spec, i))
        try:
            with patched(loss_part_reduction()):
                compat.symbolic_call(partial(_evaluated, task, model), *batch)
        except Exception as error:  # whatever the user's model raises, the rows do not fit it
            what = ("", "the labels of ", "the weights of ")[different]
            raise UserError(
                f"Task {task.name}: {what}the {name} rows have shape {_part(other, different)}, {what}the "
                f"training rows {_part(spec, different)}, and the model does not take the former: "
                f"{one_line(str(error))[:300]}"
            ) from error


def _evaluated(task: Task, model: keras.Model, *batch: Any) -> Any:
    """Outputs and loss of a batch, as an evaluation computes them."""
    x, y, weight = (*batch, None, None)[:3]
    if own_objective(task):
        return computed(task, model, batch, training=False)
    outputs = model(x, training=False)
    if compat.compiled_losses(model) is None or compat.has_own(model, "test_step"):
        return outputs
    with LossParts(1, 2, counting=True).active():
        loss = compat.model_loss(model, x, y, outputs, weight, False)
    return loss, outputs, model.compute_metrics(x, y, outputs, sample_weight=weight)


def _part(spec: Any, number: int) -> Any:
    """Shapes of x, y or the weights of a row; None if it has none."""
    return _shapes(spec[number]) if number < len(spec) else None


def _shapes(spec: Any) -> Any:
    if isinstance(spec, tf.TensorSpec):
        return tuple(spec.shape)
    return {path: tuple(leaf.shape) for path, leaf in named_leaves(spec)}
