"""Models that replace what Keras runs around the steps: `fit`, `evaluate`, the functions of the steps."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tests.conformance.parts import VALIDATION, compiled, dense, fit
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("own_functions")


def made(kind: type[keras.Sequential]) -> keras.Model:
    return compiled(kind([keras.Input((3,)), layers.Dense(2)]), metrics=["mae"])


class OwnTrainFunction(keras.Sequential):
    """Logs one number more, from outside of the step."""

    def make_train_function(self, force: bool = False) -> Any:
        super().make_train_function(force)
        usual = self.train_function

        def function(iterator: Any) -> Any:
            return {**usual(iterator), "more": tf.constant(7.0)}

        if not hasattr(usual, "is_own"):
            self.train_function = function
            self.train_function.is_own = True
        return self.train_function


class OwnTestFunction(keras.Sequential):
    """Evaluates nothing."""

    def make_test_function(self, force: bool = False) -> Any:
        def function(iterator: Any) -> Any:
            next(iterator)
            return {"loss": tf.constant(7.0)}

        self.test_function = function
        return function


class OwnEvaluate(keras.Sequential):
    def evaluate(self, *args: Any, **given: Any) -> Any:
        return {**super().evaluate(*args, **given), "more": 3.0}


class OwnFit(keras.Sequential):
    def fit(self, x: Any = None, y: Any = None, **given: Any) -> Any:
        return super().fit(2 * x, y, **given)


@case
def a_train_function(side: Side) -> None:
    fit(side, made(OwnTrainFunction))


@case
def a_test_function(side: Side) -> None:
    fit(side, made(OwnTestFunction), validation_data=VALIDATION)


@case
def an_evaluation(side: Side) -> None:
    fit(side, made(OwnEvaluate), validation_data=VALIDATION)


@case
def a_fit(side: Side) -> None:
    fit(side, made(OwnFit))


@case
def an_optimizer_set_between_two_trainings(side: Side) -> None:
    model = dense()
    fit(side, model)
    model.optimizer = keras.optimizers.Adam(0.01)
    fit(side, model)


@case
def a_layer_changed_between_two_trainings(side: Side) -> None:
    model = dense()
    fit(side, model, record=None)
    model.layers[0].activation = keras.activations.relu
    model.optimizer.momentum = 0.0
    fit(side, model, record=None)
