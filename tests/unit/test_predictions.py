"""Predictions are shown beside the true values, row by row and output by output."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from tests.support.toys import Toy
from trainkit.experiment.predictions import Predictions, confidences

OUTPUTS = np.array([[0.75, 0.25, 0.0], [0.0, 0.125, 0.875]], np.float32)
LABELS = np.array([0, 1])


def rows(predictions: Predictions) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(predictions.csv())))


def test_classes_are_shown_with_their_confidence_and_mistakes() -> None:
    task = Toy()
    lines = Predictions(task, OUTPUTS, LABELS).lines(10)
    predicted, true = task.decode(OUTPUTS), task.decode(LABELS)
    assert lines == [
        f"Predicted: {predicted[0]}  Actual: {true[0]}  confidence  75.0%",
        f"Predicted: {predicted[1]}  Actual: {true[1]}  confidence  87.5%  wrong",
    ]
    assert Predictions(task, OUTPUTS, LABELS).lines(1) == lines[:1]


def test_the_table_has_every_row_and_every_number() -> None:
    table = rows(Predictions(Toy(), OUTPUTS, LABELS))
    assert [row["row"] for row in table] == ["0", "1"]
    assert [[float(row[f"output_{i}"]) for i in range(3)] for row in table] == OUTPUTS.tolist()
    assert [float(row["confidence"]) for row in table] == [0.75, 0.875]


def test_several_outputs_have_columns_of_their_own() -> None:
    table = rows(
        Predictions(Toy(), {"kind": OUTPUTS, "size": OUTPUTS[:, :1] * 9}, {"kind": LABELS, "size": LABELS})
    )
    assert {"kind/predicted", "kind/actual", "kind/confidence", "size/predicted", "size/output_0"} <= set(
        table[0]
    )
    assert "size/confidence" not in table[0]


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
    found = confidences(outputs, labels)
    assert (None if found is None else found.tolist()) == expected
