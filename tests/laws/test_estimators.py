"""scikit-learn's own checks, its tools, and what an estimator must keep."""

from __future__ import annotations

import pickle
import unittest
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from tests.support.toys import rows
from trainkit.estimators import TrainkitClassifier, TrainkitRegressor
from trainkit.estimators.rows import statistics

WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weights are exact in the loss, but the check compares sums of other orders to seven digits, "
        "and training in float32 carries their rounding on"
    )
}
CHECKED = (TrainkitClassifier(epochs=60), TrainkitRegressor(epochs=60))
QUICK = (
    "check_estimators_pickle",
    "check_dict_unchanged",
    "check_fit2d_1feature",
    "check_estimator_get_tags",
)


def named(value: Any) -> str:
    estimator, check = value
    return f"{type(estimator).__name__}-{getattr(check, 'func', check).__name__}"


@pytest.mark.in_parts(3)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=named(case), marks=() if named(case).endswith(QUICK) else pytest.mark.slow)
        for estimator in CHECKED
        for case in estimator_checks_generator(estimator, expected_failed_checks=WEIGHTS, mark=None)
    ],
)
def test_scikit_learns_checks(case: Any) -> None:
    estimator, check = case
    if named(case).partition("-")[2] in WEIGHTS:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check(estimator)
        return
    try:
        check(estimator)
    except unittest.SkipTest as reason:  # such as for an option of SciPy that is not set
        pytest.skip(str(reason))


X, Y = rows(90)
TINY = {"units": (8,), "epochs": 3, "batch_size": 16, "random_state": 0}


@pytest.fixture(scope="module")
def fitted() -> TrainkitClassifier:
    return TrainkitClassifier(**{**TINY, "epochs": 20}).fit(X, Y)


def test_the_same_seed_gives_the_same_bits_and_no_other(fitted: TrainkitClassifier) -> None:
    again = clone(fitted).fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = clone(fitted).set_params(random_state=1).fit(X, Y)
    assert np.abs(other.predict_proba(X) - fitted.predict_proba(X)).max() > 1e-3


def test_a_pickle_predicts_the_same_and_trains_on(fitted: TrainkitClassifier) -> None:
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    fitted_on, loaded_on = pickle.loads(pickle.dumps(fitted)), loaded
    for one in (fitted_on, loaded_on):
        one.partial_fit(X, Y)
    np.testing.assert_array_equal(loaded_on.predict_proba(X), fitted_on.predict_proba(X))
    assert loaded_on.n_iter_ == fitted.n_iter_ + 1


def sums_of_errors(features: int, outputs: int) -> keras.Model:
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(outputs)])
    model.compile(keras.optimizers.Adam(0.1), "mae")
    return model


def by_momentum(features: int, outputs: int) -> keras.Model:
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(outputs, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    "estimator",
    [
        TrainkitClassifier(dropout=0.2, random_state=0),
        TrainkitClassifier(by_momentum, random_state=0),
        TrainkitRegressor(sums_of_errors, random_state=0),
    ],
    ids=["dropout", "momentum", "errors"],
)
def test_a_pickle_trains_on_as_what_was_pickled(estimator: Any) -> None:
    for _ in range(2):
        estimator.partial_fit(X, Y)
    loaded = pickle.loads(pickle.dumps(estimator))
    for one in (estimator, loaded):
        one.partial_fit(X, Y)
    predict = "predict_proba" if isinstance(estimator, TrainkitClassifier) else "predict"
    np.testing.assert_array_equal(getattr(loaded, predict)(X), getattr(estimator, predict)(X))


@pytest.mark.parametrize("of_x", [-60, 0, 70])
@pytest.mark.parametrize("of_y", [-60, 70])
def test_the_unit_of_features_and_target_makes_no_difference(of_x: int, of_y: int) -> None:
    expected = TrainkitRegressor(**TINY).fit(X, X[:, 0]).predict(X)
    found = TrainkitRegressor(**TINY).fit(X * 2.0**of_x, X[:, 0] * 2.0**of_y).predict(X * 2.0**of_x)
    np.testing.assert_allclose(found * 2.0**-of_y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(exponent=st.integers(-60, 60), seed=st.integers(0, 99))
def test_a_column_is_constant_up_to_rounding_whatever_its_unit(dtype: Any, exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = dtype(rng.uniform(0.1, 0.9) * 2.0**exponent)
    rounded = np.nextafter(value, rng.choice([value, dtype(np.inf)], 50).astype(dtype), dtype=dtype)
    varying = (rng.normal(size=50) * 2.0**exponent).astype(dtype)
    _, variance = statistics(np.stack([rounded, varying, np.zeros(50, dtype)], 1), None)
    np.testing.assert_array_equal(variance[[0, 2]], 1.0)
    np.testing.assert_allclose(variance[1], varying.astype(np.float64).var(), rtol=1e-6)


@pytest.mark.parametrize("kind", [TrainkitClassifier, TrainkitRegressor])
def test_the_own_network_trains_in_half_precision(kind: Any) -> None:
    far = X + 1e6  # which half precision would not tell apart
    settings = {**TINY, "epochs": 30, "trainer__precision": "mixed_bfloat16"}
    assert kind(**settings, learning_rate=0.01).fit(far, Y).score(far, Y) > 0.3


def test_settings_of_trainkit_are_parameters() -> None:
    estimator = TrainkitClassifier(**TINY, trainer__accumulate=2, optimizer__clip__norm=1.0)
    assert clone(estimator).get_params()["optimizer__clip__norm"] == 1.0
    estimator.set_params(trainer__epochs=2, optimizer__name="sgd", optimizer__options__momentum=0.5)
    assert estimator.fit(X, Y).n_iter_ == 2
    for wrong in ("trainer__epoch", "optimizer__clip__nrm", "optimizer__learning_rate__x", "nothing"):
        with pytest.raises(ValueError, match="Invalid parameter"):
            estimator.set_params(**{wrong: 1})
    with pytest.raises(ValueError, match="Invalid parameter"):
        TrainkitClassifier(trainer__epoch=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": "many"},
        {"units": 3},
        {"units": (8, 0)},
        {"dropout": 1.0},
        {"learning_rate": -1.0},
        {"early_stopping": True, "validation_fraction": 1.5},
        {"trainer__execution": "fast"},
        {"trainer__engine": "keras"},
    ],
)
def test_impossible_parameters_are_refused_by_fit(wrong: dict[str, Any]) -> None:
    named = list(wrong)[-1].rpartition("__")[2]
    for fit in ("fit", "partial_fit"):
        estimator = TrainkitClassifier(**{**TINY, **wrong})
        with pytest.raises(ValueError, match=rf"{named}.*(expected|unknown|leave it out)"):
            getattr(estimator, fit)(X, Y)


def test_partial_fit_is_fit_epoch_by_epoch_where_the_order_is_one_batch() -> None:
    settings = {**TINY, "batch_size": 90, "trainer__epochs": 3}
    at_once = TrainkitRegressor(**settings).fit(X, X[:, 0])
    step_by_step = TrainkitRegressor(**settings)
    for _ in range(3):
        step_by_step.partial_fit(X, X[:, 0])
    np.testing.assert_allclose(step_by_step.predict(X), at_once.predict(X), rtol=1e-4, atol=1e-5)


def test_weights_count_as_repeated_rows() -> None:
    weight = np.arange(90) % 3
    settings = {**TINY, "batch_size": 200}
    weighted = TrainkitRegressor(**settings).fit(X, X[:, 0], sample_weight=weight)
    repeated = TrainkitRegressor(**settings).fit(np.repeat(X, weight, 0), np.repeat(X[:, 0], weight))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-4, atol=1e-4)


def test_early_stopping_stops() -> None:
    noise = np.random.default_rng(0).integers(0, 2, 90)
    estimator = TrainkitClassifier(**{**TINY, "epochs": 200}, early_stopping=True, patience=2).fit(X, noise)
    assert estimator.n_iter_ < 200
    assert "val_loss" in estimator.history_
    few = np.concatenate([np.flatnonzero(label == Y)[:2] for label in range(3)])
    assert TrainkitClassifier(**TINY, early_stopping=True).fit(X[few], Y[few]).n_iter_ == 3, "one row is held"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_train_as_arrays_and_give_their_names(library: str) -> None:
    frames = pytest.importorskip(library)
    names = [f"feature {i}" for i in range(X.shape[1])]
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate(names)})
    expected = TrainkitClassifier(**TINY).fit(X, Y)
    estimator = TrainkitClassifier(**TINY).fit(frame, frames.Series(Y))
    assert estimator.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(estimator.predict_proba(frame), expected.predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(frame[names[::-1]])


@pytest.mark.slow
def test_the_tools_of_scikit_learn() -> None:
    classifier = TrainkitClassifier(**{**TINY, "epochs": 20}, learning_rate=0.03)
    scaled = make_pipeline(ColumnTransformer([("scale", StandardScaler(), slice(0, 6))]), classifier)
    assert cross_val_score(scaled, X, Y, cv=3).mean() > 0.6
    # The grid of the article: batch sizes and epochs.
    grid = GridSearchCV(classifier, {"batch_size": [16, 32], "epochs": [5, 20]}, cv=5, n_jobs=2)
    grid.fit(X, Y)
    assert len(grid.cv_results_["params"]) == 4
    assert grid.best_score_ > 0.6
    drawn = RandomizedSearchCV(
        classifier, {"learning_rate": [1e-3, 1e-2, 1e-1]}, n_iter=2, cv=3, random_state=0
    )
    assert drawn.fit(X, Y).best_params_["learning_rate"] > 1e-3
    halving = HalvingGridSearchCV(
        classifier,
        {"learning_rate": [1e-3, 1e-2]},
        resource="epochs",
        min_resources=4,
        max_resources=12,
        cv=3,
    )
    assert halving.fit(X, Y).best_score_ > 0.4
    calibrated = CalibratedClassifierCV(classifier, cv=3).fit(X, Y)
    assert calibrated.predict_proba(X).shape == (90, 3)
    informative = permutation_importance(grid.best_estimator_, X, Y, n_repeats=3, random_state=0)
    assert informative.importances_mean.max() > 0.05
