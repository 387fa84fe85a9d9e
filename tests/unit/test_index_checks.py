"""XLA trains of its own accord only where no index and no label can be out of range."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays, Splits
from trainkit.trainer.index_checks import why_not_xla

X = np.arange(20, dtype="int32").reshape(10, 2) % 5


def asked(model: keras.Model, x: Any, y: Any, order: Any = None) -> str:
    """Why not, of rows that may be taken in another order."""
    if has_gpu():
        pytest.skip("on a GPU TensorFlow does not raise either")
    model.compile("adam", "sparse_categorical_crossentropy")
    arrays = Arrays(x, y) if order is None else Arrays(x, y).select(order)
    setup: Any = SimpleNamespace(
        model=model,
        splits=Splits(arrays),
        source=SimpleNamespace(arrays=arrays),
        facts=SimpleNamespace(outputs=model.outputs),
    )
    return why_not_xla(setup)


def words(*more: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(5, 3), *more])


def flat() -> keras.Model:
    return words(layers.Flatten(), layers.Dense(3, "softmax"))


def test_indexes_and_labels_in_range_are_for_xla() -> None:
    assert asked(flat(), X, np.arange(10) % 3) == ""


@pytest.mark.parametrize("wrong", [-1, 5])
def test_an_index_outside_of_its_table_is_not(wrong: int) -> None:
    x = X.copy()
    x[7, 1] = wrong
    assert "outside of its table" in asked(flat(), x, np.arange(10) % 3)


def test_nor_is_a_table_that_is_used_twice_whose_second_indexes_nobody_has_looked_at() -> None:
    given = keras.Input((2,), dtype="int32")
    table = layers.Embedding(5, 3)
    both = layers.Flatten()(table(given) + table(given + 3))
    model = keras.Model(given, layers.Dense(3, "softmax")(both))
    assert "outside of its table" in asked(model, X, np.arange(10) % 3)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("shape", [(10,), (10, 1), (10, 2)])
def test_nor_is_a_label_outside_of_the_classes(dtype: str, shape: tuple[int, ...]) -> None:
    """One a row, or one a time step."""
    model = words(layers.Dense(3, "softmax")) if shape == (10, 2) else flat()
    labels = (np.arange(np.prod(shape)) % 3).reshape(shape).astype(dtype)
    assert asked(model, X, labels) == ""
    labels.reshape(-1)[-1] = 3
    assert "outside of the classes" in asked(model, X, labels)


def test_rows_in_a_file_are_looked_at_some_at_a_time(tmp_path: Any) -> None:
    np.save(tmp_path / "y.npy", np.arange(10) % 3)
    kept = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert asked(flat(), X, kept, order=np.arange(10)[::-1]) == ""
