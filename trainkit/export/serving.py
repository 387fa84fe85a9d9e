"""A model as other programs call it: named tensors in, named tensors out, never in training mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.core.errors import UserError
from trainkit.export.runtimes import Named, flat_names, input_names, structure_of

__all__ = ["Serving"]

BATCH = 256


class Serving:
    """A model and the names of its inputs and outputs.

    Args:
        model: A built model.
        rows: Some rows `[N, ...]` as the model takes them: they tell structure, shapes and types.

    Raises:
        UserError: if two inputs or outputs would have the same name.
    """

    def __init__(self, model: keras.Model, rows: Any) -> None:
        self.model = model
        self.structure = rows
        self._functions: dict[int | None, Any] = {}
        self.names = self._input_names(rows)
        flat = keras.tree.flatten(rows)
        declared = _declared_shapes(model, self.names)
        self.specs = {
            name: tf.TensorSpec([None, *_open(shape, column)], _dtype(column), name=name)
            for name, column, shape in zip(self.names, flat, declared, strict=True)
        }

    def _input_names(self, rows: Any) -> list[str]:
        names = input_names(rows, getattr(self.model, "inputs", None) or [], keras.tree)
        if len(set(names)) < len(names):
            raise UserError(f"The model's inputs have the names {', '.join(names)}; give each its own.")
        return names

    def with_model(self, model: keras.Model) -> Serving:
        """The same for a twin of the model."""
        return Serving(model, self.structure)

    def packed(self, named: Mapping[str, Any]) -> Any:
        """Named tensors in the structure that the model takes."""
        return keras.tree.pack_sequence_as(self.structure, [named[name] for name in self.names])

    def call(self, named: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Outputs by name."""
        return flat_names(self.model(self.packed(named), training=False), "output", keras.tree)

    def function(self, batch: int | None = None) -> Any:
        """A graph function of the named tensors, as one dict; `batch` fixes the number of rows.

        Args:
            batch: Rows of a call; None: any number.
        """
        if batch not in self._functions:
            specs = {
                name: tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, name=name)
                for name, spec in self.specs.items()
            }
            self._functions[batch] = _graph_function(self.call, specs)
        return self._functions[batch]

    def rows(self, x: Any, count: int | None = None) -> Named:
        """Rows as named arrays of the types that the exported files take; the first `count` of them."""
        flat = keras.tree.flatten(x)
        return {
            name: np.asarray(column[:count]).astype(_numpy_dtype(spec.dtype), copy=False)
            for (name, spec), column in zip(self.specs.items(), flat, strict=True)
        }

    def outputs(self, rows: Named) -> Named:
        """What the model itself gives for named rows, in inference."""
        function = self.function()
        count = len(next(iter(rows.values())))
        parts = []
        for i in range(0, count, BATCH):
            found = function({name: tf.constant(column[i : i + BATCH]) for name, column in rows.items()})
            parts.append({name: _array(value) for name, value in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @property
    def takes_text(self) -> bool:
        """Whether an input is text."""
        return any(spec.dtype == tf.string for spec in self.specs.values())


def _graph_function(call: Any, specs: Any) -> Any:
    """A graph function; of a function of its own, since TensorFlow warns of one that is traced again."""
    return tf.function(lambda named: call(named), input_signature=[specs], autograph=False)


def _declared_shapes(model: keras.Model, names: list[str]) -> list[Any]:
    """The shapes of rows that a functional model declares for its inputs; None where it declares none."""
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != len(names):
        return [None] * len(names)
    shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
    own = input_names(structure_of(model), inputs, keras.tree)
    by_name = dict(zip(own, shapes, strict=True))
    return [by_name[name] for name in names] if set(own) == set(names) else shapes


def _open(declared: Any, column: np.ndarray) -> tuple[int | None, ...]:
    """The shape of a row; an axis that the model leaves open stays open."""
    shape = tuple(np.shape(column)[1:])
    if declared is None or len(declared) != len(shape):
        return shape
    return tuple(None if d is None else n for d, n in zip(declared, shape, strict=True))


def _dtype(column: np.ndarray) -> tf.DType:
    kind = np.asarray(column[:1]).dtype
    if kind.kind in "OUS":
        return tf.string
    return tf.as_dtype(kind)


def _numpy_dtype(dtype: tf.DType) -> Any:
    return object if dtype == tf.string else dtype.as_numpy_dtype


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "V":  # bfloat16, which NumPy itself has not
        return array.astype(np.float32)
    if array.dtype.kind != "O":
        return array
    return np.array([v.decode() for v in array.reshape(-1)]).reshape(array.shape)
