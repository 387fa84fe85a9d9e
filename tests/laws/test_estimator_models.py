"""The models that an estimator is given: functions and tasks, whatever loss they are trained with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import Toy, rows
from trainkit.estimators import TrainkitClassifier

X, Y = rows(90)
TINY = {"units": (8,), "epochs": 3, "batch_size": 16, "random_state": 0}


def test_models_of_functions_and_tasks() -> None:
    def build(features: int, outputs: int) -> keras.Model:
        layers = [keras.Input((features,)), keras.layers.Dense(outputs, activation="softmax")]
        model = keras.Sequential(layers)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    names = np.array(["a", "b", "c"])[Y]
    by_function = TrainkitClassifier(build, **TINY).fit(X, names)
    assert set(by_function.predict(X)) <= {"a", "b", "c"}
    by_task = TrainkitClassifier(Toy(), **TINY).fit(X, names)
    assert by_task.predict_proba(X).shape == (90, 3)
    with pytest.raises(ValueError, match="expected None, a function"):
        TrainkitClassifier(model=3).fit(X, Y)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.BinaryCrossentropy(from_logits=True),
        keras.losses.BinaryFocalCrossentropy(from_logits=True),
        "hinge",
        "binary_crossentropy",
        "mse",
    ],
    ids=["logits", "focal", "hinge", "probability", "error"],
)
def test_one_output_tells_two_classes_apart_by_what_its_loss_means(loss: Any) -> None:
    activation = "sigmoid" if loss == "binary_crossentropy" else None

    def build(features: int, outputs: int) -> keras.Model:
        model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(1, activation=activation)])
        model.compile(keras.optimizers.Adam(0.05), loss)
        return model

    names = np.where(X[:, 0] > 0, "b", "a")
    estimator = TrainkitClassifier(build, **{**TINY, "epochs": 20}).fit(X, names)
    probabilities, scores = estimator.predict_proba(X), np.asarray(estimator.model_(X))[:, 0]
    assert probabilities.min() >= 0.0
    np.testing.assert_allclose(probabilities.sum(1), 1.0)
    boundary = 0.5 if loss in ("binary_crossentropy", "mse") else 0.0
    np.testing.assert_array_equal(estimator.predict(X) == "b", scores > boundary)
    assert estimator.score(X, names) > 0.8
    with pytest.raises(ValueError, match="tells two classes apart; y has 3"):
        TrainkitClassifier(build, **TINY).fit(X, Y)


def test_the_form_of_the_labels_is_that_of_the_loss() -> None:
    def compiled_with(loss: Any) -> Any:
        def build(features: int, outputs: int) -> keras.Model:
            layers = [keras.Input((features,)), keras.layers.Dense(outputs, activation="softmax")]
            model = keras.Sequential(layers)
            model.compile("sgd", loss)
            return model

        return TrainkitClassifier(build, **TINY).fit(X, Y).predict_proba(X)

    expected = compiled_with("sparse_categorical_crossentropy")
    for loss in ("categorical_crossentropy", keras.losses.CategoricalCrossentropy(), "kl_divergence"):
        np.testing.assert_allclose(compiled_with(loss), expected, rtol=1e-3)
