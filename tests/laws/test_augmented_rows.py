"""Augmented rows have the shapes and dtypes of the training rows, or are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy, TwoByTwo
from tests.support.training import fit
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer import Trainer, augmented_rows

Change = Callable[[int, np.ndarray, Any, Any], Any]


@dataclass(frozen=True)
class Changed(Toy):
    """The toy's rows, changed by a function of epoch, row numbers and these rows."""

    change: Change | Any = None
    whole: bool = False

    def data(self) -> Splits:
        splits = super().data()
        train = splits.train
        x = np.abs(train.x * 50).astype(np.uint8) if self.whole else train.x
        return replace(splits, train=Arrays(x, train.y))

    def augmented(self, train: Arrays, seed: int) -> Any:
        if not callable(self.change):
            return self.change
        return lambda epoch, rows: self.change(epoch, rows, *train.take(rows).batch())


MISFITS: dict[str, Change] = {
    "x, one column for all": lambda epoch, rows, x, y: (x[:, :1], y),
    "x, one row for all": lambda epoch, rows, x, y: (x[:1], y),
    "y, one row for all": lambda epoch, rows, x, y: (x, y[:1]),
    "fewer rows": lambda epoch, rows, x, y: (x[:3], y[:3]),
    "more rows": lambda epoch, rows, x, y: (x.repeat(2, 0), y.repeat(2, 0)),
    "another width": lambda epoch, rows, x, y: (x[:, :2], y),
    "a number": lambda epoch, rows, x, y: (np.float32(1), y),
    "labels with fractions": lambda epoch, rows, x, y: (x, y + 0.5),
    "text": lambda epoch, rows, x, y: (x.astype(str), y),
    "x alone": lambda epoch, rows, x, y: x,
    "no labels": lambda epoch, rows, x, y: (x, None),
    "weights too": lambda epoch, rows, x, y: (x, y, np.ones(len(x))),
    "nothing": lambda epoch, rows, x, y: None,
}


@pytest.mark.parametrize("case", MISFITS)
def test_augmented_rows_of_another_form_are_refused_before_anything_is_written(
    case: str, tmp_path: Path
) -> None:
    trainer = Trainer(epochs=1, batch_size=16, run_dir=tmp_path / "run")
    with pytest.raises(UserError, match=r"augmented\(\) gave .* for 16 rows; expected x \(16, 6\)") as raised:
        trainer.fit(Changed(change=MISFITS[case]))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_shares_for_pixels_are_refused_not_truncated() -> None:
    task = Changed(change=lambda epoch, rows, x, y: (x / np.float32(255), y), whole=True)
    with pytest.raises(UserError, match=r"gave x \(16, 6\) float32, .* expected x \(16, 6\) uint8"):
        Trainer(batch_size=16).prepare(task)


def test_augmented_labels_outside_of_the_classes_are_refused() -> None:
    with pytest.raises(UserError, match="labels go from 5 to 7 in the augmented rows"):
        Trainer(batch_size=16).prepare(Changed(change=lambda epoch, rows, x, y: (x, y + 5)))


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(UserError, match=r"augmented\(\) returned int; expected a function"):
        Trainer(batch_size=16).prepare(Changed(change=3))


def test_a_later_batch_of_another_form_ends_the_training_in_one_line() -> None:
    task = Changed(change=lambda epoch, rows, x, y: (x[:, : 6 - epoch], y))
    with pytest.raises(UserError, match=r"gave x \(16, 5\) float32") as raised:
        fit(task)
    assert "\n" not in str(raised.value)


def test_equal_rows_of_wider_types_or_another_order_of_names_train_the_same() -> None:
    class Named(TwoByTwo):
        def augmented(self, train: Arrays, seed: int) -> Any:
            def change(epoch: int, rows: np.ndarray) -> Any:
                x, y = train.take(rows).batch()
                wide = {"right": x["right"].astype(np.float64), "left": x["left"]}
                return wide, {"size": y["size"], "kind": y["kind"]}

            return change

    class Same(TwoByTwo):
        def augmented(self, train: Arrays, seed: int) -> Any:
            return lambda epoch, rows: train.take(rows).batch()

    assert fit(Same(), epochs=1)[1] == fit(Named(), epochs=1)[1]


@pytest.mark.parametrize(("value", "fits"), [(0, True), (255, True), (256, False), (-1, False)])
def test_whole_numbers_of_another_width_fit_if_their_values_do(value: int, fits: bool) -> None:
    array = np.array([[1, value]])
    assert augmented_rows._fits(array, tf.TensorSpec([2], tf.uint8), 1) is fits
