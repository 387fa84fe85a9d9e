"""What simple models reach on the same rows: the majority or mean, a linear model, and gradient boosting.

A network that loses to them should be known to lose. The models are scikit-learn's, by its own settings but
for the tolerance of logistic regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.monitor import KERAS_DIRECTION
from trainkit.core.row_view import RowView
from trainkit.core.task import Task

__all__ = ["baselines", "check", "verdict"]

MAX_COLUMNS = 1024  # inputs, times the trees per round, that gradient boosting is tried on: minutes beyond
Scores = dict[str, float]


def baselines(task: Task, train: Arrays, test: Arrays) -> dict[str, Scores]:
    """The task's metrics of each simple model on the test rows.

    Weights of rows count as they do for the model: in what is fitted, not in the metrics.

    Args:
        task: A task with one class, or one number, per row.
        train: The rows that they are fitted to.
        test: The rows that they are measured on.

    Raises:
        UserError: for labels that such models do not take.
    """
    labels, classes = _labels(task, train)
    names = ("majority class", "logistic regression") if classes else ("mean", "ridge regression")
    linear = _features(train.x, test.x, one_hot=True)
    found = {
        names[0]: _score(task, _simple(classes), linear, train, test, labels, classes),
        names[1]: _score(task, _linear(classes), linear, train, test, labels, classes),
    }
    if not _has_sequences(train.x):
        plain = _features(train.x, test.x, one_hot=False)
        trees = classes if classes > 2 else 1
        if plain[0].shape[1] * trees <= MAX_COLUMNS:
            boosting = _score(task, _boosting(classes), plain, train, test, labels, classes)
            found["gradient boosting"] = boosting
    return found


def check(task: Task, train: Arrays) -> None:
    """Refuse rows that simple models do not take, before anything is fitted.

    Args:
        task: The task.
        train: Its training rows.

    Raises:
        UserError: for such labels or inputs.
    """
    _labels(task, train)
    _arrays_by_name(train.x)


def verdict(model: Mapping[str, float], found: Mapping[str, Scores], task: Task) -> str:
    """One line: whether the model is better than all of them, by its first metric."""
    metric = next(iter(task.metrics()), None)
    if metric is None or metric.name not in model:
        return ""
    name = metric.name
    sign = 1 if getattr(metric, KERAS_DIRECTION, None) == "up" else -1
    best = max(found, key=lambda baseline: sign * found[baseline][name])
    mine = model[name]
    other = found[best][name]
    if sign * mine > sign * other:
        return f"This model is better than all of them in {name}: {mine:.4g}, the best of them {other:.4g}."
    word = "as good as" if mine == other else "worse than"
    return f"This model is {word} {best} in {name}: {mine:.4g}, and {other:.4g}."


def _labels(task: Task, train: Arrays) -> tuple[np.ndarray, int]:
    """Labels for scikit-learn `[N]`, and the number of classes; 0 for numbers."""
    y = train.y
    names = task.class_names()
    if not isinstance(y, np.ndarray) or y.ndim > 2:
        raise UserError("evaluate.baselines=true needs one class or one number per row; leave it out.")
    one_hot = y.ndim == 2 and (y.shape[1] > 1 or y.shape[1] == len(names or ()))
    if one_hot and not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
        have = "several numbers" if names is None else "several classes, or none"
        raise UserError(
            f"evaluate.baselines=true needs one class or one number per row; these rows have {have}. Leave "
            "it out."
        )
    if names is None and not one_hot and np.issubdtype(y.dtype, np.floating):
        return y.reshape(-1).astype(np.float64), 0
    classes = y.argmax(axis=1) if one_hot else y.reshape(-1).astype(np.int64)
    return classes, y.shape[1] if one_hot else len(names or range(int(classes.max()) + 1))


def _simple(classes: int) -> Any:
    from sklearn import dummy

    return dummy.DummyClassifier(strategy="prior") if classes else dummy.DummyRegressor()


def _linear(classes: int) -> Any:
    from sklearn import linear_model, pipeline, preprocessing

    # With the usual tolerance of 1e-4, 10,000 rows of MNIST take 36 s in place of 15, for no better scores.
    model = linear_model.LogisticRegression(max_iter=1000, tol=1e-3) if classes else linear_model.Ridge()
    return pipeline.make_pipeline(preprocessing.StandardScaler(with_mean=False), model)


def _boosting(classes: int) -> Any:
    from sklearn import ensemble

    kind = ensemble.HistGradientBoostingClassifier if classes else ensemble.HistGradientBoostingRegressor
    return kind(random_state=0)


def _score(
    task: Task,
    model: Any,
    features: tuple[Any, Any],
    train: Arrays,
    test: Arrays,
    labels: np.ndarray,
    classes: int,
) -> Scores:
    """The task's metrics of a model that is fitted to the training rows."""
    weight: dict[str, Any] = {}
    if train.weight is not None:
        last = f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""
        weight = {f"{last}sample_weight": train.weight}
    model.fit(features[0], labels, **weight)
    if classes:
        outputs = np.zeros((len(test), classes), np.float32)
        outputs[:, model.classes_] = model.predict_proba(features[1])
    else:
        outputs = np.asarray(model.predict(features[1]), np.float32)[:, None]
    scores = {}
    for metric in task.metrics():
        metric.update_state(test.y, outputs)  # each row counts once, as in the metrics of the model
        scores[metric.name] = float(metric.result())
    return scores


def _has_sequences(x: Any) -> bool:
    """Whether an input is rows of word numbers."""
    return any(array.dtype.kind == "i" and array.ndim == 2 for array in _arrays_by_name(x).values())


def _arrays_by_name(x: Any) -> dict[str, np.ndarray]:
    inputs = dict(x) if isinstance(x, Mapping) else {"x": x}
    inputs = {name: np.asarray(a) if isinstance(a, RowView) else a for name, a in inputs.items()}
    if not all(isinstance(array, np.ndarray) for array in inputs.values()):
        raise UserError("evaluate.baselines needs the rows as one array, or a dict of arrays.")
    return inputs


def _features(train: Any, test: Any, *, one_hot: bool) -> tuple[Any, Any]:
    """Inputs as columns `[N, K]`: numbers as they are, categories one-hot or as numbers, texts as counts of
    their words, images pixel by pixel."""
    from scipy import sparse

    columns: list[list[Any]] = []
    first, second = _arrays_by_name(train), _arrays_by_name(test)
    for name, array in first.items():
        both = [array, second[name]]
        if array.dtype.kind == "i":
            size = int(max(part.max(initial=0) for part in both)) + 1
            columns.append([_counts(part, size) if one_hot else part[:, None] for part in both])
        else:
            scale = 255.0 if array.dtype == np.uint8 else 1.0
            columns.append([part.reshape(len(part), -1) / scale for part in both])
    if not any(sparse.issparse(pair[0]) for pair in columns):
        return np.hstack([pair[0] for pair in columns]), np.hstack([pair[1] for pair in columns])
    joined: list[Any] = [sparse.hstack([pair[i] for pair in columns]) for i in range(2)]
    return joined[0].tocsr(), joined[1].tocsr()


def _counts(numbers: np.ndarray, size: int) -> Any:
    """How often each number stands in each row, sparse `[N, size]`."""
    from scipy import sparse

    rows = numbers.reshape(len(numbers), -1)
    places = (np.repeat(np.arange(len(rows)), rows.shape[1]), rows.reshape(-1))
    return sparse.coo_matrix((np.ones(rows.size), places), shape=(len(rows), size)).tocsr()
