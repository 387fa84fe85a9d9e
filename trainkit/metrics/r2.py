"""The coefficient of determination, of numbers that are large beside their spread, too."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["R2"]


@keras.saving.register_keras_serializable("trainkit")
class R2(keras.metrics.R2Score):
    """`keras.metrics.R2Score`, with its sums in `dtype`, as Keras's other metrics have them.

    Keras keeps them in float32, in which the sum of squares less the squared sum loses a spread that is small
    beside the mean: r2 of pressures about 101,325 with a spread of 40 is wrong in the first digit.
    """

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "sum", name: Any = None
    ) -> Any:
        return super().add_variable(shape, initializer, dtype or self.dtype, aggregation, name)
