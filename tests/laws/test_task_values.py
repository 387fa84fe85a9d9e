"""What a task returns is as Keras takes it, or is refused in one line before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer.trainer import Trainer

X = np.zeros([40, 6], "float32")
Y = np.zeros([40], "int64")
TRAIN = Arrays(X, Y)

REFUSED: dict[str, tuple[str, Callable[[], Any], str]] = {
    "data, a tuple": ("data", lambda: (X, Y), "data() returned tuple; expected trainkit.Splits"),
    "data, nothing": ("data", lambda: None, "data() returned NoneType"),
    "data, objects": (
        "data",
        lambda: Splits(Arrays(X.astype(object), Y)),
        "x of the train rows has dtype object",
    ),
    "data, text": ("data", lambda: Splits(Arrays(X.astype(str), Y)), "the model takes numbers, but rows"),
    "validation, five columns": (
        "data",
        lambda: Splits(TRAIN, Arrays(X[:, :5], Y)),
        "the validation rows have shape (5,), the training rows (6,)",
    ),
    "test, a dict": ("data", lambda: Splits(TRAIN, None, Arrays({"a": X[:, :2]}, Y)), "the test rows"),
    "validation, no labels": (
        "data",
        lambda: Splits(TRAIN, Arrays(X)),
        "validation rows have no labels",
    ),
    "validation, classes": (
        "data",
        lambda: Splits(TRAIN, Arrays(X, Y + 7)),
        "from 7 to 7 in",
    ),
    "optimizer, a typing error": ("optimizer", lambda: "adamm", "optimizer() returned adamm"),
    "optimizer, nothing": ("optimizer", lambda: None, "optimizer() returned NoneType"),
    "optimizer, a class": ("optimizer", lambda: keras.optimizers.Adam, "expected a Keras optimizer"),
    "metrics, text": ("metrics", lambda: "accuracy", "cannot be compiled"),
    "metrics, a typing error": ("metrics", lambda: ["accurcy"], "accurcy"),
    "loss, a typing error": ("loss", lambda: "msee", "msee"),
    "loss weights, text": ("loss_weights", lambda: "a", "cannot be compiled"),
    "loss weights, too many": ("loss_weights", lambda: [1.0, 2.0], "1 losses and 2 weights"),
    "class weights, a list": ("class_weight", lambda: [1.0, 2.0], "class_weight() returned [1.0, 2.0]"),
    "class weights, text as keys": ("class_weight", lambda: {"0": 1.0}, "expected finite numbers by class"),
    "class weights, NaN": ("class_weight", lambda: {0: float("nan")}, "expected finite numbers by class"),
    "class weights, text": ("class_weight", lambda: {0: "a"}, "expected finite numbers by class"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_value_is_refused_in_one_line(case: str) -> None:
    method, value, said = REFUSED[case]
    task = type("Bad", (Toy,), {method: lambda self: value()})()
    with pytest.raises(UserError) as caught:
        Trainer(epochs=1).prepare(task)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_optimizer_may_be_named() -> None:
    class Named(Toy):
        def optimizer(self) -> Any:
            return "sgd"

    assert isinstance(Trainer(epochs=1).prepare(Named()).model.optimizer, keras.optimizers.SGD)


def test_rows_of_another_size_are_validated_on_where_the_model_takes_them() -> None:
    class AnySize(Toy):
        def data(self) -> Splits:
            return Splits(
                Arrays(np.zeros([16, 8, 8, 1], "float32"), Y[:16]), Arrays(np.ones([4, 6, 6, 1]), Y[:4])
            )

        def model(self, train: Arrays) -> keras.Model:
            pooled = keras.layers.GlobalAveragePooling2D()
            return keras.Sequential([keras.Input((None, None, 1)), pooled, keras.layers.Dense(3, "softmax")])

    history = Trainer(epochs=1, batch_size=4).fit(AnySize()).history
    assert "val_loss" in history
