"""A regressor for scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from sklearn.base import RegressorMixin

from trainkit.core.task import Task
from trainkit.data.cells import MAX_NUMBER
from trainkit.estimators.base import TrainkitEstimator
from trainkit.estimators.rows import statistics

__all__ = ["TrainkitRegressor"]


class TrainkitRegressor(RegressorMixin, TrainkitEstimator):
    """A neural network that predicts numbers, trained by trainkit's compiled loop.

    The target is standardised for the training, unless `model` is a task.

    Args:
        model: None: a dense network that standardises its inputs. Else a function of `(features, outputs)`
            that returns a Keras model, compiled or not; or a `trainkit.Task`, whose model, loss and optimizer
            are used.
        units: Units of each hidden layer of the dense network.
        dropout: Share of the units that each of its hidden layers drops, from 0 to less than 1.
        epochs: Passes over the rows.
        batch_size: Rows per step.
        learning_rate: None: the optimizer's own.
        early_stopping: Whether to hold rows out, and stop when their loss no longer falls.
        validation_fraction: Share of the rows that early stopping holds out.
        patience: Epochs without improvement after which it stops.
        random_state: Seed of weights, dropout, row order and held-out rows: a number, a `RandomState` or
            None.
        verbose: 0: silent, 1: a line for an epoch now and then.
        **settings: Any setting of trainkit, as `trainer__precision` or `optimizer__clip__norm`.

    Attributes:
        n_features_in_: Features of a row.
        model_: The trained Keras model, which predicts standardised numbers.
        history_: Values per epoch, by Keras's names.
        n_iter_: Epochs that were trained.

    Example:
        >>> make_pipeline(StandardScaler(), TrainkitRegressor(epochs=50, random_state=0)).fit(X, y)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from the start.

        Args:
            X: Rows `[N, K]`: an array, or a frame of pandas or polars.
            y: Numbers `[N]` or `[N, M]`.
            sample_weight: Weight of each row `[N]`; rows of weight 0 are left out.
        """
        x, y, weight = self._prepared(X, y, sample_weight, first=True)
        return self._fit(x, y, weight, None)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one more epoch, over these rows; the first call decides how the target is standardised.

        Args:
            X: Rows, as for `fit`.
            y: Numbers of each row.
            sample_weight: Weight of each row.

        Raises:
            ValueError: if parameters of the model were changed since the first call, or the optimizer's kind.
        """
        x, y, weight = self._prepared(X, y, sample_weight, first=not hasattr(self, "model_"))
        return self._fit_partially(x, y, weight)

    def predict(self, X: Any) -> np.ndarray:
        """Numbers of each row, `[N]` or `[N, M]` as `y` was."""
        outputs = self._outputs(X) * self._scale + self._mean
        return np.asarray(outputs[:, 0] if self._is_flat else outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, *, first: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        x, y, weight = self._rows(X, y, sample_weight, reset=first)
        numbers = np.asarray(y, np.float64)
        columns = numbers.reshape(len(numbers), -1)
        if np.abs(columns).max() > MAX_NUMBER:
            raise ValueError(
                f"y has {np.abs(columns).max():.3g}; expected numbers of at most {MAX_NUMBER:g}."
            )
        if first:
            self._is_flat = numbers.ndim == 1
            mean, variance = statistics(columns, weight)
            raw = isinstance(self.model, Task)
            self._mean = np.zeros_like(mean) if raw else mean
            self._scale = np.ones_like(mean) if raw else np.sqrt(variance)
        return x, ((columns - self._mean) / self._scale).astype(np.float32), weight

    def _head(self) -> tuple[int, str | None, Any]:
        return len(self._mean), None, keras.losses.MeanSquaredError()
