"""Evaluation and prediction outside of a training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer import execution
from trainkit.trainer.trainer import Trainer


class Told(keras.callbacks.Callback):
    """Notes the hooks of evaluation and prediction."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_test_begin(self, logs: Any = None) -> None:
        self.seen.append("test")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append((batch, sorted(logs)))

    def on_test_end(self, logs: Any = None) -> None:
        self.seen.append(dict(logs))

    def on_predict_begin(self, logs: Any = None) -> None:
        self.seen.append("predict")

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append((batch, logs["outputs"].shape))

    def on_predict_end(self, logs: Any = None) -> None:
        self.seen.append("end")


def test_evaluation_and_prediction_call_the_hooks_of_keras() -> None:
    told = Told()
    trainer = Trainer(epochs=1, batch_size=8, callbacks=[told])
    trainer.prepare(Toy())
    values = trainer.evaluate()
    names = sorted(values)
    assert told.seen == ["test", (0, names), (1, names), (2, names), values]
    told.seen.clear()
    outputs = trainer.predict()
    assert told.seen == ["predict", (0, (8, 3)), (1, (8, 3)), (2, (3, 3)), "end"]
    told.seen.clear()
    expected = trainer.model.evaluate(*trainer.splits.test.batch(), verbose=0, return_dict=True, batch_size=8)
    assert values == pytest.approx(expected, abs=1e-6)
    rows = trainer.splits.test.x
    by_keras = trainer.model.predict(rows, verbose=0, batch_size=8)
    np.testing.assert_allclose(outputs, by_keras, atol=1e-6)
    for x in (rows, tf.data.Dataset.from_tensor_slices(rows).batch(5)):
        np.testing.assert_allclose(trainer.predict(x), by_keras, atol=1e-6)


def test_rows_that_do_not_fit_the_model_are_refused_in_one_line() -> None:
    trainer = Trainer(epochs=1)
    trainer.prepare(Toy())
    with pytest.raises(UserError, match="predict: rows of shape") as caught:
        trainer.predict(np.zeros([4, 5], "float32"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="number of rows"):
        trainer.predict(np.zeros([0, 6], "float32"))


def test_rows_of_no_form_that_the_model_takes_are_named_in_one_line() -> None:
    """A text, an empty Dataset and a whole set of splits; the arrays of `Arrays` are rows."""
    trainer = Trainer(epochs=1)
    trainer.prepare(Toy())
    test = trainer.splits.test
    np.testing.assert_array_equal(trainer.predict(test), trainer.predict(test.x))
    rows = tf.data.Dataset.from_tensor_slices(test.x)
    wrong: list[tuple[Any, str]] = [
        (np.full([4, 6], "a"), "rows of text do not fit the model, which was made for float32"),
        (np.full([4, 6], "a", object), "rows of text do not fit the model, which was made for float32"),
        (rows.take(0), r"there are no rows: the \w*Dataset is empty"),
        (rows.batch(4).take(0), r"there are no rows: the \w*Dataset is empty"),
        (trainer.splits, "x is Splits; expected rows, .* split='test'"),
    ]
    for x, said in wrong:
        with pytest.raises(UserError, match=f"^predict: {said}") as caught:
            trainer.predict(x)
        assert "\n" not in str(caught.value)


def test_text_rows_are_predicted_by_a_model_of_text_alone() -> None:
    class Words(Toy):
        def data(self) -> Splits:
            return Splits(Arrays(np.array(["a", "b"] * 16), np.arange(32) % 2))

        def model(self, train: Arrays) -> keras.Model:
            words = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
            return keras.Sequential([keras.Input((), dtype="string"), words, keras.layers.Dense(3)])

    trainer = Trainer(epochs=1)
    trainer.prepare(Words())
    for x in (np.array(["a", "b"]), np.array(["a", "b"], object), ["a", "b"]):
        assert trainer.predict(x).shape == (2, 3)
    with pytest.raises(UserError, match="rows of float32 do not fit the model, which was made for text"):
        trainer.predict(np.ones([4], "float32"))


class Words(Toy):
    """Rows of two words, of five."""

    name = "words"

    def data(self) -> Splits:
        x = np.arange(32, dtype="int32").reshape(16, 2) % 5
        return Splits(Arrays(x, np.arange(16) % 3), test=Arrays(x, np.arange(16) % 3))

    def model(self, train: Any) -> keras.Model:
        inside = [keras.layers.Embedding(5, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((2,), dtype="int32"), *inside])


def test_rows_that_come_to_be_predicted_are_looked_at_before_xla_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It trains by XLA, which would take the nearest word for one that there is not."""
    if has_gpu():
        pytest.skip("on a GPU TensorFlow does not raise either")
    monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.0)
    monkeypatch.setattr(execution, "EMBEDDING_COMPILE_SECONDS", 0.0)
    trainer = Trainer(epochs=1, batch_size=8)
    trainer.fit(Words())
    assert trainer.execution == "epoch_xla"
    x = trainer.splits.test.x
    np.testing.assert_allclose(trainer.predict(x), trainer.model.predict(x, verbose=0), atol=1e-6)
    x = x.copy()
    x[3, 1] = 5
    for predict in (trainer.model.predict, trainer.predict):
        with pytest.raises(tf.errors.InvalidArgumentError):
            predict(x)


class Centred(Toy):
    """Its outputs depend on the other rows of a batch."""

    def model(self, train: Arrays | None = None) -> keras.Model:
        x = keras.Input((6,))
        y = keras.layers.Dense(3)(x)
        return keras.Model(x, keras.ops.softmax(y - keras.ops.mean(y, axis=0, keepdims=True)))


def test_the_last_batch_is_predicted_as_in_keras() -> None:
    trainer = Trainer(epochs=1, batch_size=8, progress="none")
    trainer.prepare(Centred())
    assert trainer.setup is not None
    x = np.random.default_rng(0).normal(size=(21, 6)).astype(np.float32)
    for rows in (x, x[:16], x[:5]):
        wanted = trainer.setup.model.predict(rows, batch_size=8, verbose=0)
        np.testing.assert_allclose(trainer.predict(rows), wanted, rtol=1e-5, atol=1e-6)
