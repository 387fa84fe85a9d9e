"""What the scikit-learn estimators have in common: parameters, training, prediction and pickling."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, cast

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from trainkit.backend.generators import kept_generators
from trainkit.callbacks.callback_list import CallbackList
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.progress import make as make_progress
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import did_you_mean
from trainkit.core.task import Task
from trainkit.data.splits.random import shuffled
from trainkit.estimators import keras_file
from trainkit.estimators.going_on import OptimizerForm, check_model_parameters, model_parameters
from trainkit.estimators.parameters import (
    SECTIONS,
    changed,
    check_parameters,
    check_settings,
    checked_weight,
    section_of,
)
from trainkit.estimators.rows import RowsTask, dense_network
from trainkit.trainer.assembly import ONE_AT_A_TIME
from trainkit.trainer.fit_loop import FitLoop
from trainkit.trainer.program_pool import ProgramPool

__all__ = ["TrainkitEstimator"]

PREDICTED_ROWS = 1024  # at once, always: how a row is rounded depends on how many are predicted with it
# Estimators of one process share compiled programs: a grid search builds hundreds of alike ones.
POOL = ProgramPool(size=16)


class TrainkitEstimator(BaseEstimator):
    """The base of both estimators; see `TrainkitClassifier` and `TrainkitRegressor`."""

    model_: keras.Model
    n_iter_: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # The parameters that scikit-learn looks for: it would take `settings` for one of them.
        whole = inspect.signature(cls.__init__)
        named = [p for p in list(whole.parameters.values())[1:] if p.kind is not p.VAR_KEYWORD]
        cls.__signature__ = whole.replace(parameters=named)

    def __init__(
        self,
        model: Any = None,
        *,
        units: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: Any = None,
        verbose: int = 0,
        **settings: Any,
    ) -> None:
        self.model = model
        self.units = units
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose
        for name in settings:
            if section_of(name) is None:
                known = inspect.signature(type(self)).parameters
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}; {did_you_mean(name, known)}"
                )
        self._set_settings(settings)

    # Parameters: those of the constructor, and settings of trainkit such as `trainer__epochs`.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name, the settings of trainkit that were given included."""
        own = {name: value for name, value in vars(self).items() if section_of(name) is not None}
        return {**super().get_params(deep), **own}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name: `set_params(epochs=5, optimizer__clip__norm=1.0)`.

        Raises:
            ValueError: for a name that does not exist.
        """
        settings = {name: value for name, value in params.items() if section_of(name) is not None}
        self._set_settings(settings)
        super().set_params(**{name: value for name, value in params.items() if name not in settings})
        return self

    def _set_settings(self, settings: Mapping[str, Any]) -> None:
        for name, value in settings.items():
            changed(SECTIONS, name, None)  # whether it exists
            setattr(self, name, value)

    def _configs(self, seed: int, epochs: int | None, rows: int) -> tuple[TrainerConfig, OptimizerConfig]:
        """The settings of a training; `trainer__...` and `optimizer__...` win over the plain parameters.

        Raises:
            ValueError: for settings that are impossible.
        """
        trainer = TrainerConfig(epochs=self.epochs, batch_size=self.batch_size)
        optimizer = OptimizerConfig(learning_rate=self.learning_rate)
        for name, value in vars(self).items():
            section = section_of(name)
            if section == "trainer":
                trainer = cast(TrainerConfig, changed(trainer, name.partition("__")[2], value))
            elif section == "optimizer":
                optimizer = cast(OptimizerConfig, changed(optimizer, name.partition("__")[2], value))
        check_settings(trainer, optimizer)
        trainer = replace(trainer, batch_size=min(trainer.batch_size, rows), seed=seed)
        return trainer if epochs is None else replace(trainer, epochs=epochs), optimizer

    def _drawn_seed(self) -> int:
        """The seed of a training from its start."""
        given = vars(self).get("trainer__seed")
        return int(check_random_state(self.random_state).randint(2**31 - 1)) if given is None else int(given)

    # Training.

    def _fit(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, labels: Any) -> Self:
        check_parameters(self)
        seed = self._seed = self._drawn_seed()
        train, validation = Arrays(x, y, weight), None
        if self.early_stopping:
            rest, held = shuffled(len(x), self.validation_fraction, seed, labels)
            train, validation = train.take(rest), train.take(held)
        self._task = self._make_task(train.x, train.weight)
        self._optimizer_state: list[np.ndarray] = []
        self._train(train, validation, seed, None)
        return self

    def _fit_partially(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> Self:
        """One more epoch, over these rows; with the learning rate that was set in between, if one was.

        Raises:
            ValueError: for other parameters of the model, or of another optimizer, than before.
        """
        check_parameters(self)
        if not hasattr(self, "model_"):
            self._seed = self._drawn_seed()
            self._task = self._make_task(x, weight)
            self._optimizer_state = []
            self.n_iter_ = 0
        self._train(Arrays(x, y, weight), None, (self._seed + self.n_iter_) % 2**31, 1)
        return self

    def _train(self, train: Arrays, validation: Arrays | None, seed: int, epochs: int | None) -> None:
        """Train the task, from the weights at hand if there are any; for as long as the parameters say, if
        `epochs` does not."""
        goes_on = bool(self._optimizer_state)
        # Pickles of earlier versions do not know what their model and optimizer were made from.
        if goes_on and hasattr(self, "_made_from"):
            check_model_parameters(self, self._made_from)
        trainer, optimizer = self._configs(seed, epochs, len(train))
        observers: list[Any] = [make_progress("plain")] if self.verbose else []
        if self.early_stopping and validation is not None:
            observers.append(EarlyStopping("val_loss", patience=self.patience))
        with ONE_AT_A_TIME, kept_generators():  # all models that are built here draw from them
            held_out = None if validation is None else self._labelled(validation)
            splits = Splits(self._labelled(train), held_out)
            setup, cache = POOL.setup(self._task, trainer, optimizer, splits)
            form = OptimizerForm.of(setup)
            if goes_on:
                before = getattr(self, "_optimizer_form", form)
                form.check(before)
                weights = [v.numpy() for v in self.model_.variables]
                setup.state.assign([*weights, *self._optimizer_state])
                form.go_on(setup, before)
            callbacks = CallbackList(observers, setup.state, setup.direction)
            with setup.strategy.scope():
                history = FitLoop(setup, cache, callbacks, lambda: None, finds_bottleneck=False).run()
            values = setup.state.values()
            count = len(setup.state.groups["model"])
            if not goes_on:
                self.model_ = self._task.model(cast(Arrays, splits.train))
        for variable, value in zip(self.model_.variables, values[:count], strict=True):
            variable.assign(value)
        self._optimizer_state = values[count:]
        self._optimizer_form = form
        self.history_ = history.history
        self.n_iter_ = (self.n_iter_ if goes_on else 0) + len(history.epoch)

    def _make_task(self, x: np.ndarray, weight: np.ndarray | None) -> Task:
        self._row_shape = x.shape[1:]
        self._made_from = model_parameters(self)
        if isinstance(self.model, keras.Model):
            raise ValueError(
                f"model={type(self.model).__name__}: expected a function of (features, outputs) that returns "
                "such a model, since each training begins with a fresh one."
            )
        if isinstance(self.model, Task) or callable(self.model):
            return self._given_task()
        if self.model is not None:
            raise ValueError(
                f"model={self.model!r}: expected None, a function of (features, outputs) that returns a "
                "Keras model, or a trainkit.Task."
            )
        outputs, activation, loss = self._head()
        build = dense_network(x, weight, tuple(self.units), self.dropout, outputs, activation)
        return RowsTask(build, loss, keras.optimizers.Adam)

    def _given_task(self) -> Task:
        """The task that was given, or the one around the function that was given."""
        if isinstance(self.model, Task):
            return self.model
        build: Callable[..., Any] = self.model
        outputs, _, loss = self._head()
        # A pickle of an earlier version does not know the shape of its rows.
        shape = getattr(self, "_row_shape", None) or (self.n_features_in_,)
        features = shape[0] if len(shape) == 1 else shape
        return RowsTask(lambda: build(features, outputs), loss, keras.optimizers.Adam)

    def _head(self) -> tuple[int, str | None, Any]:
        """Outputs, activation and loss of a model for the labels of `fit`."""
        raise NotImplementedError

    def _labelled(self, rows: Arrays) -> Arrays:
        """Rows whose labels are as the loss of the task takes them."""
        return rows

    def _rows(self, x: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Any, Any, Any]:
        """Checked rows: float32 features, labels as they came, weights with mean 1 or None."""
        x, y = validate_data(
            self, x, y, reset=reset, multi_output=True, y_numeric=False, allow_nd=self.model is not None
        )
        if sample_weight is None:
            return x.astype(np.float32), y, None
        weight = checked_weight(sample_weight, x)
        kept = weight > 0
        if not kept.any():
            raise ValueError("sample_weight is zero for every row; expected a row that counts.")
        weight = weight[kept] * (kept.sum() / weight[kept].sum())
        return x[kept].astype(np.float32), y[kept], weight.astype(np.float32)

    # Prediction.

    def _outputs(self, x: Any) -> np.ndarray:
        """The model's outputs `[N, K]` for rows, in float64."""
        check_is_fitted(self, "model_")
        x = validate_data(self, x, reset=False, allow_nd=self.model is not None).astype(np.float32)
        padding = np.zeros([-len(x) % PREDICTED_ROWS, *x.shape[1:]], x.dtype)
        padded = np.concatenate([x, padding])
        parts = [
            keras.ops.convert_to_numpy(self.model_(padded[i : i + PREDICTED_ROWS], training=False))
            for i in range(0, len(padded), PREDICTED_ROWS)
        ]
        return np.concatenate(parts)[: len(x)].reshape(len(x), -1).astype(np.float64)

    # Pickling: the model as the bytes of a .keras file, which Keras loads without running foreign code.

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        model = state.pop("model_", None)
        if model is not None:
            state["_keras_file"] = keras_file.to_bytes(model)
            state["_unsaved"] = [v.numpy() for v in keras_file.unsaved_variables(model)]
            state.pop("_task", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("_keras_file", None)
        unsaved = state.pop("_unsaved", None)
        super().__setstate__(state)
        if content is not None:
            self.model_ = keras_file.from_bytes(content)
            if unsaved is not None:  # which a pickle of an earlier version lacks
                for variable, value in zip(keras_file.unsaved_variables(self.model_), unsaved, strict=True):
                    variable.assign(value)
            self._task = self._loaded_task()

    def _loaded_task(self) -> Task:
        """The task of a model that was loaded, to train on."""
        if self.model is not None:
            return self._given_task()
        model = self.model_
        _, _, loss = self._head()
        return RowsTask(lambda: keras.models.clone_model(model), loss, keras.optimizers.Adam)
