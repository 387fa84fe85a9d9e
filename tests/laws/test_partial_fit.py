"""`partial_fit` follows the parameters that it can follow, and refuses to go on with the others changed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import rows
from trainkit.estimators import TrainkitClassifier, TrainkitRegressor

X, Y = rows(32)
TINY = {"units": (4,), "epochs": 1, "batch_size": 32, "random_state": 0}


def begun(**given: Any) -> TrainkitClassifier:
    return TrainkitClassifier(**{**TINY, **given}).partial_fit(X, Y)


def largest_change(estimator: TrainkitClassifier) -> float:
    before = estimator.model_.get_weights()
    estimator.partial_fit(X, Y)
    after = estimator.model_.get_weights()
    return max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["learning_rate", "optimizer__learning_rate"])
def test_partial_fit_follows_a_changed_rate_and_keeps_what_the_optimizer_knows(name: str) -> None:
    changed = begun(learning_rate=0.001)
    loaded = pickle.loads(pickle.dumps(changed))
    assert largest_change(changed) == pytest.approx(0.001, rel=0.5)
    for one in (changed.set_params(**{name: 0.1}), loaded.set_params(**{name: 0.1})):
        assert largest_change(one) == pytest.approx(0.1, rel=0.5)
    assert int(changed._optimizer_state[0]) == 3, "its steps are counted on"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"units": (7,)}, r"units=\(7,\): partial_fit goes on with .* units=\(4,\)"),
        ({"dropout": 0.5}, "dropout=0.5: partial_fit goes on"),
        ({"model": lambda features, outputs: None}, "model=.* made with model=None"),
        ({"optimizer__name": "sgd"}, "give SGD .* goes on with Adam"),
        ({"optimizer__name": "adamax"}, "give Adamax .* goes on with Adam"),
        ({"optimizer__ema__enabled": True}, "goes on with Adam"),
    ],
)
def test_partial_fit_refuses_what_it_cannot_follow(given: dict[str, Any], said: str) -> None:
    estimator = begun().set_params(**given)
    with pytest.raises(ValueError, match=said) as raised:
        estimator.partial_fit(X, Y)
    assert "\n" not in str(raised.value)


def nine_outputs(features: int, outputs: int) -> keras.Model:
    return keras.Sequential([keras.Input((features,)), keras.layers.Dense(9, "softmax")])


UNFIT: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a name": (lambda: TrainkitClassifier(patiance=1), TypeError, "'patiance'; did you mean patience?"),
    "a model": (
        lambda: TrainkitClassifier(nine_outputs(6, 3)).fit(X, Y),
        ValueError,
        "model=Sequential: expected a function",
    ),
    "outputs": (
        lambda: TrainkitClassifier(nine_outputs).fit(X, Y),
        ValueError,
        "gives 9 numbers per row, but there are 3 classes",
    ),
    "numbers": (
        lambda: TrainkitRegressor().fit(X, X[:, 0].astype(float) * 1e160),
        ValueError,
        "expected numbers of at most 1e+100",
    ),
    "patience": (
        lambda: TrainkitClassifier(early_stopping=True, patience=2.5).fit(X, Y),
        ValueError,
        "patience=2.5: expected",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_an_estimator_is_refused_in_one_line(case: str) -> None:
    act, kind, said = UNFIT[case]
    with pytest.raises(kind) as raised:
        act()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
