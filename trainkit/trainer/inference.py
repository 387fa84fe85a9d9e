"""Evaluation and prediction outside of a training, with the `on_test_*` and `on_predict_*` hooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.callbacks.callback_list import needs_test_batches
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.dense_rows import as_arrays
from trainkit.core.errors import UserError, one_line
from trainkit.core.tree import Structure, leaves, with_tuples
from trainkit.trainer.keras_fit_loop import evaluated_by_keras
from trainkit.trainer.own_steps import check_own_test_step
from trainkit.trainer.program_cache import ProgramCache
from trainkit.trainer.validation import batch_by_batch

__all__ = ["evaluate", "predict"]

Callbacks = Sequence[keras.callbacks.Callback]


def evaluate(
    cache: ProgramCache, split: str, callbacks: Callbacks, *, xla: bool, fast: bool
) -> dict[str, Any]:
    """Loss and metrics over all rows of a split; in one call, or one per batch if a callback acts on them.
    With `trainer.engine=keras`, Keras evaluates on replicas a model that has its own `test_step`.

    Raises:
        UserError: for an own `test_step` on replicas, by the other engine.
    """
    setup = cache.setup
    check_own_test_step(setup.task, setup.model, setup.config, setup.replicas)
    if setup.replicas > 1 and compat.has_own(setup.model, "test_step"):
        return evaluated_by_keras(setup, setup.arrays(split), callbacks)
    steps = cache.evaluation_shape(split).steps
    hooks = _hooks(callbacks, cache, steps)
    setup.model.stop_evaluating = False
    hooks.on_test_begin()
    if needs_test_batches(callbacks) or setup.model.stop_evaluating:
        values = batch_by_batch(setup, hooks, partial(cache.evaluate, split, xla=xla, fast=fast), steps)
    else:
        values, _ = cache.evaluate(split, xla=xla, fast=fast)
    hooks.on_test_end(values)
    return values


def predict(cache: ProgramCache, x: Any, size: int, callbacks: Callbacks, *, xla: bool) -> Structure:
    """The model's outputs `[N, ...]` for rows, in the structure in which the model returns them.

    Args:
        cache: Programs of the model.
        x: Rows `[N, ...]`, structures of them; or a Dataset, PyDataset or generator, which Keras reads.
        size: Rows per batch.
        callbacks: Called as `model.predict` calls them.
        xla: Whether XLA compiles the program.

    Raises:
        UserError: for rows that do not fit the model.
    """
    model = cache.setup.model
    if isinstance(x, Splits):
        raise UserError("predict: x is Splits; expected rows, such as splits.test.x, or split='test' alone.")
    x = x.x if isinstance(x, Arrays) else x
    if not all(isinstance(a, (bool, int, float, str)) or hasattr(a, "__array__") for a in leaves(x)):
        if isinstance(x, tf.data.Dataset) and _is_of_rows(x, cache.setup.source.spec[0]):
            x = x.batch(size)
        try:
            return model.predict(x, verbose=0, callbacks=list(callbacks))
        except (ValueError, TypeError) as error:
            raise UserError(f"predict: rows do not fit the model: {one_line(str(error))}") from error
        except UnboundLocalError as error:
            if "batch_outputs" not in str(error):
                raise
            raise UserError(f"predict: there are no rows: the {type(x).__name__} is empty.") from error
    x = with_tuples(as_arrays(x, "x"))
    lengths = {len(a) if np.ndim(a) else 0 for a in leaves(x)}
    if len(lengths) != 1 or lengths == {0}:
        came = "x has no rows" if lengths == {0} else f"the arrays of x have {sorted(lengths)} rows"
        raise UserError(f"predict: {came}; expected one and the same number of rows, at least 1.")
    _check_text(x, cache.setup.source.spec[0])
    hooks = _hooks(callbacks, cache, -(-lengths.pop() // size))
    model.stop_predicting = False
    hooks.on_predict_begin()
    parts = []
    xla = xla and not cache.why_rows_not_in_xla(x)
    batches: Iterator[Structure] = cache.predicted_batches(x, size, xla=xla)
    with suppress(StopIteration):  # of a hook: in Keras, it ends the prediction
        for number in range(hooks.params["steps"]):
            hooks.on_predict_batch_begin(number)
            try:
                parts.append(next(batches))
            except (ValueError, TypeError) as error:
                shapes = [tuple(np.shape(a)[1:]) for a in leaves(x)]
                raise UserError(
                    f"predict: rows of shape {shapes} do not fit the model: {one_line(str(error))}"
                ) from error
            hooks.on_predict_batch_end(number, {"outputs": parts[-1]})
            if model.stop_predicting:
                break
    hooks.on_predict_end()
    if not parts:
        raise UserError("predict: a callback ended it before the first batch; there is nothing to return.")
    return keras.tree.map_structure(lambda *p: np.concatenate(p), *parts)


def _check_text(x: Structure, row: Any) -> None:
    """Refuse text for a model of numbers, and numbers for a model of text.

    Raises:
        UserError: naming the types.
    """
    given = [np.asarray(a[:1]) for a in leaves(x)]
    known = [spec.dtype for spec in leaves(row)]
    for array, dtype in zip(given, known, strict=False):
        is_text = array.dtype.kind in "SU" or isinstance(array.item(0) if array.size else None, (str, bytes))
        if is_text != (dtype == tf.string):
            kind = "text" if is_text else array.dtype
            raise UserError(
                f"predict: rows of {kind} do not fit the model, which was made for "
                f"{'text' if dtype == tf.string else dtype.name}."
            )


def _is_of_rows(dataset: tf.data.Dataset, row: Any) -> bool:
    """Whether a Dataset gives single rows, with labels or without, and no batches."""
    spec = dataset.element_spec
    x = spec[0] if isinstance(spec, tuple) else spec
    found = [getattr(one, "shape", None) for one in tf.nest.flatten(x)]
    return [None if shape is None else shape.rank for shape in found] == [s.shape.rank for s in leaves(row)]


def _hooks(callbacks: Callbacks, cache: ProgramCache, steps: int) -> keras.callbacks.CallbackList:
    return keras.callbacks.CallbackList(
        list(callbacks), model=cache.setup.model, verbose=0, epochs=1, steps=steps
    )
