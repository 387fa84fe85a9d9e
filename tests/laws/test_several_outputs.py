"""Tasks of several outputs without names, and of texts, train by both engines under the same names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import trainkit as tk
from tests.laws.test_parity import assert_equal_bits, compare

X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
TEXTS = np.array(["a b", "b ä", "c", "a"] * 10)


def splits(x: Any, y: Any, validation: int) -> tk.Splits:
    parts = (slice(0, 28), slice(28, 28 + validation))
    rows = [keras.tree.map_structure(lambda a, part=part: a[part], (x, y)) for part in parts]
    return tk.Splits(*[tk.Arrays(*one) for one in rows])


class Listed(tk.Task):
    """Labels in a list, for outputs that Keras names by their layers."""

    def __init__(self, validation: int = 8, kind: str = "float64") -> None:
        self.validation, self.kind = validation, kind

    def data(self) -> tk.Splits:
        return splits(X, [X[:, :1], X[:, 1:2].astype(self.kind)], self.validation)

    def model(self, train: Any) -> keras.Model:
        inputs = keras.Input((6,))
        return keras.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)])

    def loss(self) -> Any:
        return ["mse", "mae"]


class Texts(tk.Task):
    """Rows of texts."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def data(self) -> tk.Splits:
        texts = TEXTS if self.kind == "U" else np.char.encode(TEXTS, "utf-8")
        return splits(texts, X[:, :1], 8)

    def model(self, train: Any) -> keras.Model:
        texts = layers.TextVectorization(output_sequence_length=3)
        texts.adapt(["a b", "ä"])
        inner = [layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)]
        return keras.Sequential([keras.Input((), dtype="string"), texts, *inner])

    def loss(self) -> Any:
        return "mse"


class Shared(Listed):
    """A task that keeps a layer, so that Keras counts names on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: Any = None

    def model(self, train: Any) -> keras.Model:
        inputs = keras.Input((6,))
        self.layer = self.layer or layers.Dense(1)
        return keras.Model(inputs, [layers.Dense(1)(inputs), self.layer(inputs)])


@pytest.mark.parametrize("task", [Listed(8), Listed(6), Listed(12), Texts("U"), Texts("S")], ids=repr)
def test_both_engines_train_them_with_equal_bits(task: tk.Task) -> None:
    """With batches of 8: validations of one, of less, and of one and a half."""
    assert_equal_bits(compare(task, batch_size=8, epochs=1, execution="step"))


def test_a_second_training_logs_under_the_names_of_the_first() -> None:
    layers.Dense(1)  # made by somebody else before, and in between
    first = tk.Trainer(epochs=1, batch_size=8).fit(Listed()).history
    other = layers.Dense(1)
    second = tk.Trainer(epochs=1, batch_size=8).fit(Listed()).history
    assert set(first) == set(second)
    assert other.name not in {name.removesuffix("_loss") for name in first}
    assert layers.Dense(1).name not in {other.name, *(name.removesuffix("_loss") for name in first)}


def test_a_layer_of_a_former_model_may_be_used_again() -> None:
    task = Shared()
    for _ in range(2):
        tk.Trainer(epochs=1, batch_size=8).fit(task)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ({"a": X[:, :1], "b": X[:, 1:2]}, "got 2 in a dict"),
        ([X[:, :1], X[:, 1:2]], "got 2 in a list"),
        (None, "got none"),
        (np.array([0.0, np.nan, 1.0, 1.0] * 10), "got nan in 7 of 28 rows"),
    ],
    ids=["dict", "list", "none", "NaN"],
)
def test_class_weights_without_a_class_for_each_row_are_refused(y: Any, said: str) -> None:
    class Weighed(Listed):
        def data(self) -> tk.Splits:
            return tk.Splits(tk.Arrays(X)) if y is None else splits(X, y, 8)

        def class_weight(self) -> Any:
            return {0: 1.0, 1: 2.0}

    with pytest.raises(tk.UserError, match=said):
        tk.Trainer(epochs=1, batch_size=8, allow_nonfinite=True).prepare(Weighed())
