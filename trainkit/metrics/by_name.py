"""Losses and metrics as the command names them: `f1`, or `{name: f1, average: weighted}`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from trainkit.core.errors import UserError, did_you_mean, one_line
from trainkit.metrics.calibration import CalibrationError
from trainkit.metrics.classification import F1, BalancedAccuracy, ClassAUC, Precision, Recall
from trainkit.metrics.r2 import R2
from trainkit.metrics.units import InTargetUnit

__all__ = ["class_loss", "class_metrics", "number_loss", "number_metrics"]

PER_CLASS = "per_class"
AVERAGED = {"f1": F1, "precision": Precision, "recall": Recall}
Spec = str | Mapping[str, Any]


def class_loss(spec: Spec | None, encoding: str) -> keras.losses.Loss:
    """The loss of a classification.

    Args:
        spec: Its name, with arguments if needed; None: the crossentropy of the labels.
        encoding: Of the labels: `integer`, `one_hot` or `multi_label`.

    Raises:
        UserError: for an unknown loss, or arguments that it does not take.
    """
    usual = {
        "integer": "sparse_categorical_crossentropy",
        "one_hot": "categorical_crossentropy",
        "multi_label": "binary_crossentropy",
    }
    name, arguments = _parsed("task.loss_function", spec or usual[encoding])
    if name != usual[encoding] and name in usual.values():
        needed = next(labels for labels, usual_name in usual.items() if usual_name == name)
        raise UserError(f"task.loss_function={name} needs data.labels={needed}; they are {encoding}.")
    loss = _loss(name, arguments)
    if encoding == "integer" and "sparse" not in name:
        raise UserError(f"task.loss_function={name} needs data.labels=one_hot; they are {encoding}.")
    return loss


def number_loss(spec: Spec | None) -> keras.losses.Loss:
    """The loss of a regression: by name, with arguments if needed; None: the mean squared error.

    Raises:
        UserError: for an unknown loss, or arguments that it does not take.
    """
    return _loss(*_parsed("task.loss_function", spec or "mean_squared_error"))


def class_metrics(specs: Sequence[Spec], classes: Sequence[str], encoding: str) -> list[keras.metrics.Metric]:
    """The metrics of a classification.

    Args:
        specs: Their names, with arguments if needed: `accuracy`, `balanced_accuracy`, `f1`, `precision`,
            `recall` (`average`: macro, micro, weighted, per_class), `auc`, `auc_pr`, `top_k` (`k`),
            `log_loss`, `calibration_error`, or any of Keras.
        classes: Names of the classes.
        encoding: Of the labels: `integer`, `one_hot` or `multi_label`.

    Raises:
        UserError: for an unknown metric, arguments that it does not take, or two with one name.
    """
    known = (
        _for_several_labels(len(classes))
        if encoding == "multi_label"
        else _for_classes(len(classes), sparse=encoding == "integer")
    )
    made: list[keras.metrics.Metric] = []
    for spec in specs:
        name, arguments = _parsed("task.scores", spec)
        if arguments.get("average") == PER_CLASS and name in AVERAGED and encoding != "multi_label":
            del arguments["average"]
            made += [
                _made(AVERAGED[name], {**arguments, "class_id": i, "name": f"{name}_{_plain(label)}"}, name)
                for i, label in enumerate(classes)
            ]
        else:
            made.append(_metric(name, arguments, known))
    return _all_different(made)


def number_metrics(specs: Sequence[Spec], unit: Mapping[str, Any]) -> list[keras.metrics.Metric]:
    """The metrics of a regression, in the target's own unit.

    They compute in float64: differences of numbers that are large beside their spread cancel in float32.

    Args:
        specs: Their names, with arguments if needed: `rmse`, `mse`, `mae`, `mape`, `r2`, or any of Keras.
        unit: `center`, `scale`, `low` and `log`, as `InTargetUnit` takes them.

    Raises:
        UserError: for an unknown metric, arguments that it does not take, or two with one name.
    """
    known: dict[str, Callable[..., keras.metrics.Metric]] = {
        "rmse": _named(keras.metrics.RootMeanSquaredError, "rmse"),
        "mse": _named(keras.metrics.MeanSquaredError, "mse"),
        "mae": _named(keras.metrics.MeanAbsoluteError, "mae"),
        "mape": _named(keras.metrics.MeanAbsolutePercentageError, "mape"),
        "r2": _named(R2, "r2"),
        "r2_score": R2,
    }
    parsed = [_parsed("task.scores", spec) for spec in specs]
    made = [_metric(name, {"dtype": "float64", **arguments}, known) for name, arguments in parsed]
    shift = "low" if unit.get("log") else "center"
    unshifted = {**unit, shift: 0.0}  # r2 is the same, and its sums are small
    units = [unshifted if isinstance(metric, R2) else unit for metric in made]
    return _all_different(
        [InTargetUnit(metric, **own, dtype=metric.dtype) for metric, own in zip(made, units, strict=True)]
    )


def _for_classes(classes: int, *, sparse: bool) -> dict[str, Callable[..., keras.metrics.Metric]]:
    """Metrics of rows that belong to one class each."""
    metrics = keras.metrics
    accuracy = metrics.SparseCategoricalAccuracy if sparse else metrics.CategoricalAccuracy
    top_k = metrics.SparseTopKCategoricalAccuracy if sparse else metrics.TopKCategoricalAccuracy
    log_loss = metrics.SparseCategoricalCrossentropy if sparse else metrics.CategoricalCrossentropy

    def top(k: int = 5, **arguments: Any) -> keras.metrics.Metric:
        return top_k(**{"k": k, "name": f"top_{k}", **arguments})

    return {
        "accuracy": _named(accuracy, "accuracy"),
        "balanced_accuracy": BalancedAccuracy,
        **{name: _named(metric, None) for name, metric in AVERAGED.items()},
        "auc": _named(ClassAUC, "auc", classes=classes),
        "auc_pr": _named(ClassAUC, "auc_pr", classes=classes, curve="PR"),
        "top_k": top,
        "log_loss": _named(log_loss, "log_loss"),
        "calibration_error": CalibrationError,
    }


def _for_several_labels(classes: int) -> dict[str, Callable[..., keras.metrics.Metric]]:
    """Metrics of rows that may belong to several classes."""
    metrics = keras.metrics
    return {
        "accuracy": _named(metrics.BinaryAccuracy, "accuracy"),
        "f1": _named(metrics.F1Score, "f1", average="macro", threshold=0.5),
        "precision": _named(metrics.Precision, "precision"),
        "recall": _named(metrics.Recall, "recall"),
        "auc": _named(metrics.AUC, "auc", multi_label=True, num_labels=classes),
        "auc_pr": _named(metrics.AUC, "auc_pr", multi_label=True, num_labels=classes, curve="PR"),
        "log_loss": _named(metrics.BinaryCrossentropy, "log_loss"),
    }


def _named(
    metric: Callable[..., keras.metrics.Metric], name: str | None, **fixed: Any
) -> Callable[..., keras.metrics.Metric]:
    """A metric with a name and arguments, which others given later replace."""
    given = fixed if name is None else {"name": name, **fixed}
    return lambda **arguments: metric(**{**given, **arguments})


def _metric(
    name: str, arguments: Mapping[str, Any], known: Mapping[str, Callable[..., keras.metrics.Metric]]
) -> keras.metrics.Metric:
    of_keras = _classes_of(keras.metrics, keras.metrics.Metric)
    metric = known.get(name) or of_keras.get(name)
    if metric is None:
        raise UserError(f"task.scores={name}: there is no such metric; {_hint(name, known, of_keras)}")
    return _made(metric, arguments, f"task.scores={name}")


def _loss(name: str, arguments: Mapping[str, Any]) -> keras.losses.Loss:
    of_keras = _classes_of(keras.losses, keras.losses.Loss)
    short = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}
    loss = of_keras.get(short.get(name, name))
    if loss is None:
        raise UserError(f"task.loss_function={name}: there is no such loss; {_hint(name, of_keras, {})}")
    made: keras.losses.Loss = _made(loss, arguments, f"task.loss_function={name}")
    return made


def _hint(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    near = did_you_mean(name, [*first, *second], list_known=False)
    return f"{near} Known: {', '.join(first)}, and those of Keras." if second else near


def _classes_of(module: Any, base: type) -> dict[str, Callable[..., Any]]:
    """The classes of a Keras module by their names in snake case."""
    found = inspect.getmembers(module, lambda member: inspect.isclass(member) and issubclass(member, base))
    return {_snake(name): member for name, member in found if member is not base}


def _snake(name: str) -> str:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return apart.lower()


def _parsed(key: str, spec: Spec) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a loss or metric."""
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise UserError(f"{key}={spec}: expected a name, or {{name: <name>, <argument>: <value>}}.")
    return spec["name"], {argument: value for argument, value in spec.items() if argument != "name"}


def _made(make: Callable[..., Any], arguments: Mapping[str, Any], key: str) -> Any:
    try:
        return make(**arguments)
    except (TypeError, ValueError) as error:
        shown = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise UserError(f"{key} ({shown}): {one_line(str(error))}") from error


def _all_different(made: list[keras.metrics.Metric]) -> list[keras.metrics.Metric]:
    names = [metric.name for metric in made]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"task.scores names {twice} twice; expected different metrics.")
    return made


def _plain(label: str) -> str:
    return re.sub(r"\W+", "_", label).strip("_") or "class"
