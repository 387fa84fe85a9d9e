"""Training rows whose width only the rows themselves tell: each step takes its own, as in `model.fit`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.training import fit
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer import Trainer

SIZE = 4
TEXTS = [np.arange(1, 3 + i // SIZE) for i in range(3 * SIZE + 1)]  # batches of widths 2, 3, 4 and 5


def texts() -> Iterator[tuple[np.ndarray, float]]:
    return ((text, float(len(text) % 2)) for text in TEXTS)


def rows() -> tf.data.Dataset:
    signature = (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.float32))
    return tf.data.Dataset.from_generator(texts, output_signature=signature)


def padded() -> tf.data.Dataset:
    return rows().padded_batch(SIZE)


@dataclass(frozen=True)
class Texts(Task):
    """Texts of several lengths, and their means of embeddings."""

    train: Any = padded

    def data(self) -> Splits:
        return Splits(self.train(), Arrays(np.array([[1, 2, 3], [2, 1, 0]]), np.array([0.0, 1.0])))

    def model(self, train: Any) -> keras.Model:
        layers = keras.layers
        first = layers.Embedding(9, 3, mask_zero=True)
        stack = [keras.Input((None,), dtype="int64"), first, layers.GlobalAveragePooling1D(), layers.Dense(1)]
        return keras.Sequential(stack)

    def loss(self) -> Any:
        return "mse"

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(0.5)


def weights(task: Texts, **settings: Any) -> list[np.ndarray]:
    trainer, _ = fit(task, **({"epochs": 2, "batch_size": SIZE} | settings))
    return trainer.model.get_weights()


@pytest.mark.slow
def test_rows_of_several_widths_train_as_by_keras() -> None:
    expected = weights(Texts(), engine="keras")
    for found in (weights(Texts()), weights(Texts(rows)), weights(Texts(), batch_size=2, accumulate=2)):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_rows_of_several_widths_share_a_trace() -> None:
    """The first one is traced as it is, the others for any width and number of rows."""
    trainer, _ = fit(Texts(), epochs=2, batch_size=SIZE, execution="auto")
    assert [program.traces for program in trainer._cache.programs] == [3]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*made by Python code")
def test_rows_of_several_widths_resume_in_mid_epoch(tmp_path: Path) -> None:
    whole = weights(Texts())
    part, _ = fit(Texts(), epochs=2, batch_size=SIZE, steps=6)
    part.save_checkpoint(tmp_path)
    for one, other in zip(weights(Texts(), resume=tmp_path), whole, strict=True):
        np.testing.assert_array_equal(one, other)


class Uneven(keras.utils.PyDataset):
    """Batches of two widths."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return np.ones([SIZE, 2 + index]), np.ones([SIZE])


def uneven() -> Uneven:
    return Uneven()


def test_rows_of_several_widths_in_one_step_are_refused() -> None:
    with pytest.raises(UserError, match=r"\[2\] and \[3\] met in steps of 5 rows.*trainkit.fit\("):
        Trainer(batch_size=SIZE + 1).prepare(Texts())
    with pytest.raises(UserError, match=r"Batch 2 of the train rows has x \(4, 3\)"):
        Trainer(batch_size=SIZE).prepare(Texts(uneven))
