"""Predictions are shown beside the true values, row by row and output by output, as the loss reads them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from trainkit.core.number_texts import number_texts
from trainkit.experiment.decoding import decode, output_kind
from trainkit.experiment.predictions import Predictions

OUTPUTS = np.array([[0.75, 0.25, 0.0], [0.0, 0.125, 0.875]], np.float32)
LABELS = np.array([0, 1])
LIKELY = np.array([[0.25], [0.75], [0.5], [0.125]], np.float32)
YES_NO = np.array([0, 1, 0, 1])


@dataclass(frozen=True)
class WithLoss(Toy):
    """A task of a given loss."""

    given: Any = None

    def loss(self) -> Any:
        return self.given


def rows(predictions: Predictions) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(predictions.csv()))))


def test_classes_are_shown_with_their_confidence_and_mistakes() -> None:
    predictions = Predictions(Toy(), OUTPUTS, LABELS)
    lines = predictions.lines(10)
    assert lines == [
        "Predicted: 0  Actual: 0  confidence  75.0%",
        "Predicted: 2  Actual: 1  confidence  87.5%  wrong",
    ]
    assert predictions.lines(1) == lines[:1]
    assert predictions.totals() == ["1 of 2 rows right (50.00%)"]


def test_the_table_has_every_row_and_every_number() -> None:
    table = rows(Predictions(Toy(), OUTPUTS, LABELS))
    assert [row["row"] for row in table] == ["1", "2"]
    assert [[float(row[f"output_{i}"]) for i in range(3)] for row in table] == OUTPUTS.tolist()
    assert [float(row["confidence"]) for row in table] == [0.75, 0.875]


@pytest.mark.parametrize(
    "loss",
    ["binary_crossentropy", keras.losses.BinaryCrossentropy(), keras.losses.binary_crossentropy],
    ids=["name", "object", "function"],
)
@pytest.mark.parametrize("labels", [YES_NO, YES_NO[:, None].astype("float32"), YES_NO.astype(bool)])
def test_one_probability_is_read_as_two_classes(loss: Any, labels: np.ndarray) -> None:
    predictions = Predictions(WithLoss(given=loss), LIKELY, labels)
    decoded = predictions.decoded[""]
    assert decoded.predicted == ["0", "1", "1", "0"]
    assert decoded.actual == ["0", "1", "0", "1"]
    assert decoded.confidence is not None
    assert decoded.confidence.tolist() == [0.75, 0.75, 0.5, 0.875]
    assert predictions.totals() == ["2 of 4 rows right (50.00%)"]


@pytest.mark.parametrize("values", [LIKELY, OUTPUTS[:, :2]], ids=["one", "several"])
def test_logits_give_the_classes_and_confidences_of_their_probabilities(values: np.ndarray) -> None:
    clipped = np.clip(values, 1e-3, None)
    if values.shape[1] == 1:
        likely, loss = clipped, keras.losses.BinaryCrossentropy
        logits = np.log(clipped) - np.log1p(-clipped)
    else:
        likely = clipped / clipped.sum(1, keepdims=True)
        logits, loss = np.log(likely) + 3, keras.losses.SparseCategoricalCrossentropy
    labels = np.zeros(len(values), int)
    told = Predictions(WithLoss(given=loss()), likely, labels).decoded[""]
    found = Predictions(WithLoss(given=loss(from_logits=True)), logits, labels).decoded[""]
    assert found.predicted == told.predicted
    np.testing.assert_allclose(found.confidence, told.confidence, rtol=1e-5)


def test_several_labels_of_a_row_are_named_together() -> None:
    outputs = np.array([[0.9, 0.2, 0.8], [0.1, 0.2, 0.3]], np.float32)
    labels = np.array([[1, 0, 1], [0, 1, 0]])
    predictions = Predictions(WithLoss(given="binary_crossentropy"), outputs, labels)
    assert predictions.decoded[""].predicted == ["0|2", ""]
    assert predictions.decoded[""].actual == ["0|2", "1"]
    assert predictions.totals() == ["1 of 2 rows right (50.00%)"]


def test_one_hot_and_whole_labels_are_read_alike() -> None:
    sparse = Predictions(WithLoss(given="sparse_categorical_crossentropy"), OUTPUTS, LABELS[:, None])
    one_hot = Predictions(WithLoss(given="categorical_crossentropy"), OUTPUTS, np.eye(3)[LABELS])
    assert sparse.lines(2) == one_hot.lines(2)
    assert sparse.totals() == one_hot.totals()


def test_numbers_are_no_classes() -> None:
    """Three columns of a regression were once read as the scores of three classes."""
    predictions = Predictions(WithLoss(given="mse"), OUTPUTS, OUTPUTS)
    assert predictions.decoded[""].predicted == ["0.75 0.25 0", "0 0.125 0.875"]
    assert predictions.decoded[""].confidence is None
    assert predictions.totals() == []


def test_labels_that_the_loss_leaves_out_are_not_counted() -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    predictions = Predictions(WithLoss(given=loss), OUTPUTS, np.array([0, -1]))
    assert predictions.totals() == ["1 of 1 rows right (100.00%)"]
    assert "wrong" not in predictions.lines(2)[1]


def test_margins_are_read_by_their_sign() -> None:
    decoded = Predictions(WithLoss(given="hinge"), LIKELY - 0.4, YES_NO).decoded[""]
    assert decoded.predicted == ["-1", "1", "1", "-1"]
    assert decoded.actual == ["-1", "1", "-1", "1"]


def test_rows_without_labels_have_predictions_alone() -> None:
    predictions = Predictions(Toy(), OUTPUTS)
    assert predictions.lines(1) == ["Predicted: 0  confidence  75.0%"]
    assert predictions.totals() == []
    assert "actual" not in rows(predictions)[0]


@pytest.mark.parametrize(
    ("outputs", "labels", "names", "expected"),
    [
        ({"b": OUTPUTS, "a": LIKELY[:2]}, {"a": YES_NO[:2], "b": LABELS}, (), ["b", "a"]),
        ((OUTPUTS, LIKELY[:2]), [LABELS, YES_NO[:2]], (), ["output_0", "output_1"]),
        ([OUTPUTS, LIKELY[:2]], (LABELS, YES_NO[:2]), ("kind", "size"), ["kind", "size"]),
        ({"a": {"b": OUTPUTS, "c": [OUTPUTS]}}, {"a": {"b": LABELS, "c": [LABELS]}}, (), ["a/b", "a/c/0"]),
        ([OUTPUTS], [LABELS], (), ["output_0"]),
        ({"kind": OUTPUTS, "seen": OUTPUTS}, {"kind": LABELS}, (), ["kind", "seen"]),
    ],
    ids=["dict", "tuple", "names", "nested", "list of one", "an output without labels"],
)
def test_several_outputs_have_columns_of_their_own(
    outputs: Any, labels: Any, names: Any, expected: list[str]
) -> None:
    predictions = Predictions(WithLoss(given=None), outputs, labels, names)
    assert list(predictions.outputs) == expected
    table = rows(predictions)
    for name in expected:
        assert {f"{name}/predicted", f"{name}/output_0"} <= set(table[0])
        assert (f"{name}/actual" in table[0]) == (name != "seen")


def test_each_output_is_read_by_its_own_loss() -> None:
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    outputs = {"kind": OUTPUTS, "size": LIKELY[:2]}
    predictions = Predictions(WithLoss(given=losses), outputs, {"kind": LABELS, "size": LIKELY[:2]})
    assert predictions.decoded["kind"].predicted == ["0", "2"]
    assert predictions.decoded["size"].predicted == ["0.25", "0.75"]
    assert predictions.totals() == ["kind: 1 of 2 rows right (50.00%)"]


def test_steps_of_a_sequence_are_shown_and_not_counted() -> None:
    outputs = np.stack([OUTPUTS, OUTPUTS])
    labels = np.array([[0, 2], [1, 1]])
    predictions = Predictions(WithLoss(given="sparse_categorical_crossentropy"), outputs, labels)
    assert predictions.decoded[""].predicted == ["0 2", "0 2"]
    assert predictions.decoded[""].actual == ["0 2", "1 1"]
    assert predictions.totals() == []


@pytest.mark.parametrize(
    ("outputs", "labels", "expected"),
    [
        (OUTPUTS, LABELS, [0.75, 0.875]),
        (OUTPUTS * 2, LABELS, None),
        (OUTPUTS[:, :1], LABELS, [0.75, 1.0]),
        (OUTPUTS[:, :1], LABELS + 0.5, None),
        (LABELS[:, None], LABELS, None),
    ],
    ids=["classes", "no probabilities", "two classes", "a share", "whole numbers"],
)
def test_confidence_is_told_of_probabilities_alone(
    outputs: np.ndarray, labels: np.ndarray, expected: list[float] | None
) -> None:
    kind = output_kind(lambda y, p: p, outputs, labels)
    found = decode(Toy(), kind, outputs, labels).confidence
    assert (None if found is None else found.tolist()) == expected


@pytest.mark.parametrize(
    ("center", "scale", "step"), [(1.7e9, 500.0, 1), (101_325, 40.0, 0.1), (0.3, 0.2, 0.01)]
)
def test_labels_are_shown_as_they_stand_in_the_file(center: float, scale: float, step: float) -> None:
    numbers = np.round(center / step + np.arange(-300, 300)) * step
    labels = ((numbers - center) / scale).astype(np.float32)
    shown = number_texts(labels, lambda values: values.astype(np.float64) * scale + center)
    assert shown == [
        f"{number:.1f}".removesuffix(".0") if step > 0.05 else f"{number:.2f}".rstrip("0").rstrip(".")
        for number in numbers
    ]


def test_numbers_that_are_not_finite_or_nothing_are_shown() -> None:
    assert number_texts(np.array([np.nan, np.inf, 0.0, 1e-30], np.float32), np.float64) == [
        "nan",
        "inf",
        "0",
        "0",
    ]
