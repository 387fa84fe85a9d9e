"""A classifier for scikit-learn."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

import keras
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from trainkit.core.datasets import Arrays
from trainkit.estimators.base import TrainkitEstimator
from trainkit.trainer.label_checks import ELEMENTWISE, as_loss

__all__ = ["TrainkitClassifier"]


class TrainkitClassifier(ClassifierMixin, TrainkitEstimator):
    """A neural network that tells classes apart, trained by trainkit's compiled loop.

    Labels take the form that the loss takes: numbers of classes, or one column per class. A model with one
    output tells two classes apart.

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
        class_weight: Weight of each class, or `balanced`.
        **settings: Any setting of trainkit, as `trainer__precision` or `optimizer__clip__norm`.

    Attributes:
        classes_: The classes, in the order of the columns of `predict_proba`.
        n_features_in_: Features of a row.
        model_: The trained Keras model.
        history_: Values per epoch, by Keras's names.
        n_iter_: Epochs that were trained.

    Example:
        >>> GridSearchCV(TrainkitClassifier(), {"batch_size": [16, 32], "epochs": [10, 50]}, cv=5)
    """

    def __init__(
        self,
        model: Any = None,
        *,
        units: Any = (64, 64),
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: Any = None,
        verbose: int = 0,
        class_weight: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            model,
            units=units,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            random_state=random_state,
            verbose=verbose,
            **settings,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from the start.

        Args:
            X: Rows `[N, K]`: an array, or a frame of pandas or polars.
            y: Class of each row `[N]`: numbers or texts.
            sample_weight: Weight of each row `[N]`; rows of weight 0 are left out.
        """
        x, codes, weight = self._prepared(X, y, sample_weight, reset=True)
        return self._fit(x, codes, weight, codes if self._can_stratify(codes) else None)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one more epoch, over these rows; the first call decides the classes.

        Args:
            X: Rows, as for `fit`.
            y: Class of each row.
            classes: All classes, at the first call; default: those of `y`.
            sample_weight: Weight of each row.

        Raises:
            ValueError: if parameters of the model were changed since the first call, or the optimizer's kind.
        """
        first = not hasattr(self, "model_")
        if first and classes is not None:
            self.classes_ = np.unique(classes)
        x, codes, weight = self._prepared(
            X, y, sample_weight, reset=first, keep=not first or classes is not None
        )
        return self._fit_partially(x, codes, weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class `[N, C]`."""
        outputs = self._outputs(X)
        # A pickle of an earlier version does not know what its model gives.
        logits = self._gives_logits if hasattr(self, "_gives_logits") else gives_logits(self._task.loss())
        if outputs.shape[1] == 1 and len(self.classes_) == 2:
            second = np.exp(-np.logaddexp(0, -outputs)) if logits else np.clip(outputs, 0, 1)
            return np.concatenate([1 - second, second], axis=1)
        is_share = np.all(outputs >= 0) and np.allclose(outputs.sum(1), 1, atol=1e-3)
        if logits or not is_share:
            outputs = np.exp(outputs - outputs.max(1, keepdims=True))
        return np.asarray(outputs / outputs.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row `[N]`."""
        chosen = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[chosen])

    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, keep: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Rows, numbers of their classes, and weights."""
        x, y, weight = self._rows(X, y, sample_weight, reset=reset)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if keep:
            unknown = np.setdiff1d(y, self.classes_)
            if len(unknown):
                raise ValueError(f"y has classes {unknown} that classes {self.classes_} does not name.")
        else:
            self.classes_ = np.unique(y)
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            weight = (by_class if weight is None else by_class * weight).astype(np.float32)
        return x, np.searchsorted(self.classes_, y), weight

    def _labelled(self, rows: Arrays) -> Arrays:
        loss = as_loss(self._task.loss())
        self._gives_logits = gives_logits(loss)
        classes = len(self.classes_)
        by_number = not isinstance(loss, ELEMENTWISE)  # it takes the numbers of the classes
        outputs = classes if by_number and self.model is None else _outputs(self._task.model(rows), rows.x)
        if outputs == 1 and classes > 2:
            raise ValueError(
                f"The model gives one number per row, which tells two classes apart; y has {classes}: give "
                f"the last layer {classes} outputs, and compile with sparse_categorical_crossentropy."
            )
        if isinstance(outputs, int) and outputs > max(1, classes):
            raise ValueError(
                f"The model gives {outputs} numbers per row, but there are {classes} classes; expected one "
                "for each: a function that builds the model gets their number as its second argument."
            )
        if by_number:
            return Arrays(rows.x, rows.y.astype(np.int32), rows.weight)
        labels = rows.y[:, None] if outputs == 1 else np.eye(classes)[rows.y]
        return Arrays(rows.x, labels.astype(np.float32), rows.weight)

    def _head(self) -> tuple[int, str | None, Any]:
        return len(self.classes_), "softmax", keras.losses.SparseCategoricalCrossentropy()

    def _can_stratify(self, codes: np.ndarray) -> bool:
        """Whether each class has rows for both parts of what early stopping splits."""
        held = int(len(codes) * self.validation_fraction) if self.early_stopping else 0
        return bool(np.bincount(codes).min() >= 2 and held >= len(self.classes_))


def _outputs(model: keras.Model, x: np.ndarray) -> int | None:
    """Numbers that a model gives per row; None: it does not say."""
    with suppress(AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        shape = model.compute_output_shape((None, *x.shape[1:]))
        return None if shape is None else shape[-1]
    return None


def gives_logits(loss: Any) -> bool:
    """Whether a model that is trained with a loss gives scores from minus to plus infinity, of which 0 is
    between two classes."""
    margins = (keras.losses.Hinge, keras.losses.SquaredHinge)
    return bool(getattr(loss, "from_logits", False)) or isinstance(as_loss(loss), margins)
