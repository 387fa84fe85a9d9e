"""Outputs of a model read as classes, labels or values, as its loss says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainkit.core.task import Task

__all__ = ["Decoded", "OutputKind", "decode", "losses_by_output", "output_kind"]

MAX_SHOWN = 12  # elements of one row that a text shows

KINDS = {
    "SparseCategoricalCrossentropy": "classes",
    "CategoricalCrossentropy": "classes",
    "CategoricalFocalCrossentropy": "classes",
    "CategoricalGeneralizedCrossEntropy": "classes",
    "CategoricalHinge": "classes",
    "BinaryCrossentropy": "labels",
    "BinaryFocalCrossentropy": "labels",
    "Hinge": "signs",
    "SquaredHinge": "signs",
}


@dataclass(frozen=True)
class OutputKind:
    """What the numbers of an output mean.

    Args:
        name: `classes`: a score per class on the last axis; `labels`: a probability of each yes-or-no
            label; `signs`: a number below or above 0; `values`: numbers of their own.
        from_logits: Whether the scores are logits instead of probabilities.
        ignored: The label that the loss leaves out, or None.
    """

    name: str = "values"
    from_logits: bool = False
    ignored: int | None = None


@dataclass(frozen=True)
class Decoded:
    """Rows of one output for people.

    Args:
        predicted: A text per row.
        actual: A text per row, or None where there are no labels.
        confidence: Probability `[N]` of what is predicted, where the output tells it.
        right: Whether each row `[N]` is predicted as labelled, for classes.
        counted: Which rows `[N]` have a label that counts.
    """

    predicted: list[str]
    actual: list[str] | None
    confidence: np.ndarray | None
    right: np.ndarray | None
    counted: np.ndarray


def output_kind(loss: Any, output: np.ndarray, labels: np.ndarray | None) -> OutputKind:
    """What an output means, by the loss that it is trained with.

    Args:
        loss: A Keras loss, its name, a function, or None.
        output: Outputs `[N, ...]`.
        labels: Labels `[N, ...]`. Where the loss is not one of Keras's, probabilities beside whole numbers
            are read as classes.
    """
    import keras

    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__)
    if "_" in name or name.islower():  # a function's name
        name = "".join(word.capitalize() for word in name.split("_"))
    kind = KINDS.get(name)
    if kind is not None:
        config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
        ignored = config.get("ignore_class")
        return OutputKind(kind, bool(config.get("from_logits")), ignored)
    known = isinstance(loss, keras.losses.Loss) and type(loss).__module__.startswith("keras.")
    if known or labels is None:
        return OutputKind()
    return OutputKind(_kind_by_values(np.asarray(output), np.asarray(labels)))


def decode(task: Task, kind: OutputKind, output: np.ndarray, labels: np.ndarray | None) -> Decoded:
    """Outputs beside labels.

    Args:
        task: Its `decode`, where it has one of its own, makes the texts.
        kind: What the output means.
        output: Outputs `[N, ...]`.
        labels: Labels `[N, ...]`, or None.
    """
    guess = _decided(kind, output)
    truth = None if labels is None else _labelled(kind, np.asarray(labels), guess)
    counted = np.ones(len(output), bool)
    if truth is not None and kind.ignored is not None and truth.ndim == 1:
        counted = truth != kind.ignored
    right = None
    if truth is not None and kind.name != "values" and _one_per_row(kind, guess):
        right = (guess == truth).reshape(len(guess), -1).all(1)
    if type(task).decode is not Task.decode:
        predicted = task.decode(output)
        actual = None if labels is None else task.decode(labels)
    else:
        predicted = _texts(kind, guess)
        actual = None if truth is None else _texts(kind, truth)
    return Decoded(predicted, actual, _confidence(kind, output), right, counted)


def _kind_by_values(output: np.ndarray, labels: np.ndarray) -> str:
    flat = output.reshape(len(output), -1)
    whole = np.issubdtype(labels.dtype, np.integer) or labels.dtype == bool
    if not whole or not np.issubdtype(output.dtype, np.floating) or not ((flat >= 0) & (flat <= 1)).all():
        return "values"
    if flat.shape[1] > 1:
        return "classes" if np.allclose(output.sum(-1), 1, atol=1e-2) else "values"
    return "labels" if np.isin(labels, (0, 1)).all() else "values"


def _decided(kind: OutputKind, output: np.ndarray) -> np.ndarray:
    """Class numbers `[N, ...]`, labels of 0 and 1, signs, or the values themselves."""
    if kind.name == "classes":
        return output.argmax(-1) if output.ndim > 1 else output.astype(int)
    if kind.name == "labels":
        return (output >= (0 if kind.from_logits else 0.5)).astype(int)
    if kind.name == "signs":
        return np.where(output > 0, 1, -1)
    return output


def _labelled(kind: OutputKind, labels: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Labels in the form of what `_decided` returns: numbers for one-hot rows, -1 and 1 for signs."""
    if kind.name == "classes" and labels.ndim == guess.ndim + 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
    elif kind.name in ("labels", "signs"):
        if labels.size == guess.size:
            labels = labels.reshape(guess.shape)
        if kind.name == "signs" and not (labels < 0).any():
            labels = np.where(labels > 0, 1, -1)
        elif kind.name == "labels":
            labels = (labels >= 0.5).astype(int)
    return labels


def _one_per_row(kind: OutputKind, guess: np.ndarray) -> bool:
    """Whether a row has one answer; steps of a sequence may be padded, so they are not counted."""
    return guess.ndim == 1 or (kind.name != "classes" and guess.ndim == 2)


def _confidence(kind: OutputKind, output: np.ndarray) -> np.ndarray | None:
    """Probability `[N]` of the predicted class; None where it isn't one, or a row has many."""
    scores = output.astype(np.float64)
    if kind.name == "classes" and output.ndim == 2:
        if kind.from_logits:
            shifted = np.exp(scores - scores.max(1, keepdims=True))
            return np.asarray((shifted / shifted.sum(1, keepdims=True)).max(1))
        likely = ((scores >= 0) & (scores <= 1)).all() and np.allclose(scores.sum(1), 1, atol=1e-2)
        return np.asarray(scores.max(1)) if likely else None
    if kind.name == "labels" and output.size == len(output):
        flat = scores.reshape(-1)
        if kind.from_logits:
            flat = np.exp(-np.logaddexp(0, -flat))
        likely = ((flat >= 0) & (flat <= 1)).all()
        return np.maximum(flat, 1 - flat) if likely else None
    return None


def _texts(kind: OutputKind, values: np.ndarray) -> list[str]:
    """One text per row: `7`; `1|4` for the labels that hold; `0.1 2.5 …` for several numbers."""
    flat = values.reshape(len(values), -1)
    if kind.name == "labels" and flat.shape[1] > 1 and values.ndim == 2:
        return ["|".join(str(i) for i in np.flatnonzero(row)) for row in flat]
    return [_row_text(row) for row in flat]


def _row_text(row: np.ndarray) -> str:
    shown = " ".join(_number(value) for value in row[:MAX_SHOWN])
    return shown if len(row) <= MAX_SHOWN else f"{shown} … ({len(row):,} numbers)"


def _number(value: Any) -> str:
    if isinstance(value, (bytes, str, np.bytes_, np.str_)):
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return f"{value:.4g}" if np.issubdtype(np.asarray(value).dtype, np.floating) else str(value)


def losses_by_output(loss: Any, names: Mapping[str, Any] | list[str]) -> dict[str, Any]:
    """The loss of each output: of its name, of its place, or the one of all."""
    if isinstance(loss, Mapping):
        return {name: loss.get(name) for name in names}
    if isinstance(loss, (list, tuple)):
        return {name: loss[i] if i < len(loss) else None for i, name in enumerate(names)}
    return dict.fromkeys(names, loss)
