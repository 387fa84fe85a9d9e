"""Which values a step logs, and how they travel from the graph to the host: one vector of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.core.errors import UserError

__all__ = ["LogLayout", "flat_logs", "owners_of"]

EXACT_IN_FLOAT32 = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class LogLayout:
    """Names and shapes of the logged values, fixed before the program is traced.

    Args:
        names: In the order in which Keras logs them: sorted.
        shapes: Shape of each value; `()` for a number.
        dtypes: Type of each value.
        dtype: Of the vector: float32, or float64 if a value needs more digits.
        from_step: Whether the values are what the last step returned (a model's own `train_step` that logs
            other values than its metrics), and not the results of the metrics.
        batch_from_step: Whether a batch logs what its step returned, and an epoch the results of the metrics:
            Keras does it for a step of a model's own that returns values of the same names.
        owners: For each value the name of the metric that gives it, see `owners_of`.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    dtype: str = "float32"
    from_step: bool = False
    owners: tuple[str, ...] = ()
    batch_from_step: bool = False

    @classmethod
    def of(
        cls, values: Mapping[str, Any], *, from_step: bool = False, batch_from_step: bool = False
    ) -> LogLayout:
        """The layout of symbolic values.

        Raises:
            UserError: for a value of unknown shape.
        """
        flat = flat_logs(values)
        for name, value in flat.items():
            if not tf.TensorShape(value.shape).is_fully_defined():
                raise UserError(
                    f"The value {name!r} has shape {value.shape}; a logged value must have a known shape, "
                    "such as (): call set_shape(()) on it, or train by fit(..., exact=True)."
                )
        names = tuple(flat)
        shapes = tuple(tuple(int(n) for n in value.shape) for value in flat.values())
        dtypes = tuple(_dtype_name(value) for value in flat.values())
        exact = all(dtype in EXACT_IN_FLOAT32 for dtype in dtypes)
        owners = tuple(owners_of(values)[name] for name in names)
        return cls(
            names, shapes, dtypes, "float32" if exact else "float64", from_step, owners, batch_from_step
        )

    @property
    def width(self) -> int:
        """Numbers in the vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def step_width(self) -> int:
        """Numbers of what a step returns, as far as that is logged."""
        return self.width if self.from_step or self.batch_from_step else 0

    def index(self, name: str) -> int:
        """Place of a number in the vector."""
        place = self.names.index(name)
        return sum(math.prod(shape) for shape in self.shapes[:place])

    def pack(self, values: Mapping[str, Any]) -> tf.Tensor:
        """The vector `[width]` of the values."""
        flat = flat_logs(values)
        parts = [
            tf.reshape(tf.cast(tf.convert_to_tensor(flat[name]), self.dtype), [-1]) for name in self.names
        ]
        return tf.concat(parts, 0) if parts else tf.zeros([0], self.dtype)

    def unpack(self, vector: np.ndarray) -> dict[str, Any]:
        """The values by name: numbers, and arrays where a metric has several."""
        values: dict[str, Any] = {}
        begin = 0
        for name, shape, dtype in zip(self.names, self.shapes, self.dtypes, strict=True):
            end = begin + math.prod(shape)
            part = np.asarray(vector[begin:end]).reshape(shape)
            values[name] = part.astype(tf.as_dtype(dtype).as_numpy_dtype) if shape else float(vector[begin])
            begin = end
        return values


def flat_logs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Logs as Keras passes them to callbacks: nested dicts flattened, names sorted."""
    flat: dict[str, Any] = {}
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            flat.update(flat_logs(value))
        else:
            flat[name] = value
    return flat


def owners_of(values: Mapping[str, Any]) -> dict[str, str]:
    """For each of the flat logs the name under which a metric has given it, alone or in a dict."""
    return {name: owner for owner, value in values.items() for name in flat_logs({owner: value})}


def _dtype_name(value: Any) -> str:
    return str(getattr(value.dtype, "name", value.dtype))
