"""What the first step builds in Keras: optimizers that assign as they are built, metrics that it updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import trainkit as tk
from trainkit.backend.compat.optimizer_variables import assigns_when_built

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = (X[:, 0] > X[:, 1]).astype("int32")


class Lookahead(keras.optimizers.Adam):
    """Keeps slow weights, which begin as the weights are and follow them every second step."""

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self._begin(variables)

    def _begin(self, variables: list[Any]) -> None:
        self.slow = [self.add_variable_from_reference(v, "slow") for v in variables]
        for slow, variable in zip(self.slow, variables, strict=True):
            slow.assign(variable)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        super().apply(grads, trainable_variables)
        due = keras.ops.equal(self.iterations % 2, 0)
        for slow, variable in zip(self.slow, self._trainable_variables, strict=True):
            step = slow + 0.5 * (variable - slow)
            slow.assign(keras.ops.where(due, step, slow))
            variable.assign(keras.ops.where(due, step, variable))


def copied(pairs: Any) -> None:
    for slow, variable in pairs:
        slow.assign(variable)


class Elsewhere(Lookahead):
    """Begins them in a function of the module, within a comprehension."""

    def _begin(self, variables: list[Any]) -> None:
        self.slow = [self.add_variable_from_reference(v, "slow") for v in variables]
        _ = [copied([pair]) for pair in zip(self.slow, variables, strict=True)]


def classifier(kind: type[keras.Model], optimizer: Any, **compiled: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = kind(inputs, layers.Dense(2, "softmax")(layers.Dense(4, "tanh")(inputs)))
    model.compile(optimizer, "sparse_categorical_crossentropy", **compiled)
    return model


def test_an_optimizer_that_assigns_as_it_is_built_is_refused_until_it_is() -> None:
    def losses(fit: Callable[..., Any], *, built: bool, **settings: Any) -> list[float]:
        model = classifier(keras.Model, Lookahead(0.05))
        if built:
            model.optimizer.build(model.trainable_variables)
        settings = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0, **settings}
        return list(fit(model, X, Y, **settings).history["loss"])

    assert assigns_when_built(Elsewhere(0.05))
    by_step, once = (losses(keras.Model.fit, built=built) for built in (False, True))
    assert abs(by_step[-1] - once[-1]) > 1e-3
    np.testing.assert_allclose(losses(tk.fit, built=True), once, rtol=1e-4)
    assert losses(tk.fit, built=False, exact=True) == by_step
    with pytest.raises(tk.UserError, match=r"Lookahead is not built, .* call model\.optimizer\.build"):
        losses(tk.fit, built=False)


def test_of_keras_optimizers_that_alone_is_refused_which_copies_the_weights() -> None:
    given = [getattr(keras.optimizers, name) for name in dir(keras.optimizers)]
    kinds = {k for k in given if isinstance(k, type) and issubclass(k, keras.optimizers.Optimizer)}
    names = {k.__name__ for k in kinds} - {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
    assert {"Adam", "SGD", "Muon"} <= names
    refused = {name for name in names if assigns_when_built(getattr(keras.optimizers, name)())}
    assert refused <= {"ScheduleFreeAdamW"}


class LeavesMetrics(keras.Model):
    """Computes what it logs itself, and leaves the metrics of `compile` as they are."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        return {"loss": loss}


def test_metrics_that_no_step_updates_are_refused_where_keras_raises() -> None:
    def fitted(fit: Callable[..., Any], **settings: Any) -> None:
        fit(classifier(LeavesMetrics, "sgd", metrics=["accuracy"]), X, Y, verbose=0, **settings)

    for settings in ({"fit": keras.Model.fit}, {"fit": tk.fit, "exact": True}):
        with pytest.raises(ValueError, match="the metric has not yet been built"):
            fitted(**settings)
    with pytest.raises(tk.UserError, match=r"LeavesMetrics\.train_step updates none of the metrics"):
        fitted(tk.fit)


def test_an_error_of_a_metric_is_the_users_own() -> None:
    class Fails(keras.metrics.MeanSquaredError):
        def result(self) -> Any:
            raise ValueError("no such result")

    for fit in (keras.Model.fit, tk.fit):
        with pytest.raises(ValueError, match="no such result"):
            fit(classifier(keras.Model, "sgd", metrics=[Fails()]), X, Y, verbose=0)


def test_metrics_that_were_built_before_log_what_they_log_in_keras() -> None:
    def losses(fit: Callable[..., Any], **compiled: Any) -> list[float]:
        model = classifier(LeavesMetrics, "sgd", **compiled)
        model.evaluate(X, Y, verbose=0)
        return list(fit(model, X, Y, epochs=2, shuffle=False, verbose=0).history["loss"])

    for compiled in ({}, {"metrics": ["accuracy"]}):
        np.testing.assert_allclose(losses(tk.fit, **compiled), losses(keras.Model.fit, **compiled), rtol=1e-5)


def test_a_task_whose_step_updates_no_metric_is_refused() -> None:
    class Own(tk.Task):
        def data(self) -> Any:
            return tk.Splits(tk.Arrays(X, Y))

        def model(self, train: Any) -> keras.Model:
            return classifier(LeavesMetrics, "sgd")

        def loss(self) -> Any:
            return "sparse_categorical_crossentropy"

        def metrics(self) -> list[Any]:
            return ["accuracy"]

    with pytest.raises(tk.UserError, match=r"LeavesMetrics\.train_step updates none of the metrics"):
        tk.Trainer(epochs=1, batch_size=4).fit(Own())
