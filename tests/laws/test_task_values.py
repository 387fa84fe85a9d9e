"""What a task returns is as Keras takes it, or is refused in one line before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer.trainer import Trainer

X = np.zeros([40, 6], "float32")
Y = np.zeros([40], "int64")
TRAIN = Arrays(X, Y)

REFUSED: dict[str, tuple[str, Callable[[], Any], str]] = {
    "data, a tuple": ("data", lambda: (X, Y), "data() returned tuple; expected trainkit.Splits"),
    "data, no rows": ("data", lambda: Splits(None), "data() returned no training rows"),
    "data, nothing": ("data", lambda: None, "data() returned NoneType"),
    "data, texts": (
        "data",
        lambda: Splits(Arrays(np.array([["a"]] * 40, object), Y)),
        "has dtype object; expected an array of numbers or text, such as array.astype(str).",
    ),
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
    "validation, labels of another shape": (
        "data",
        lambda: Splits(TRAIN, Arrays(X, np.zeros([40, 4], "int64"))),
        "the labels of the validation rows have shape (4,), the labels of the training rows ()",
    ),
    "weights, several for a row": (
        "data",
        lambda: Splits(Arrays(X, Y, np.ones([40, 4], "float32"))),
        "Sample weights of shape (4,) per row do not fit a loss of shape () per row",
    ),
    "loss, none at all": ("loss", lambda: None, "loss() returned None, and the model adds no loss"),
    "optimizer, a typing error": ("optimizer", lambda: "adamm", "optimizer() returned adamm"),
    "optimizer, nothing": ("optimizer", lambda: None, "optimizer() returned NoneType"),
    "optimizer, a class": ("optimizer", lambda: keras.optimizers.Adam, "expected a Keras optimizer"),
    "metrics, text": ("metrics", lambda: "accuracy", "cannot be compiled"),
    "metrics, a typing error": (
        "metrics",
        lambda: ["accurcy"],
        "Keras has no metric 'accurcy'; did you mean accuracy?",
    ),
    "metrics, of numbers": (
        "metrics",
        lambda: ["mse"],
        "metrics() do not fit the model's outputs [(3,)] and the labels () (per row)",
    ),
    "loss, a typing error": ("loss", lambda: "msee", "Keras has no loss 'msee'; did you mean mse?"),
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


COMPUTED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "the loss alone": (lambda loss, outputs: loss, "returned a tensor; expected (loss, outputs)"),
    "a dict": (lambda loss, outputs: {"loss": loss}, "returned dict; expected (loss, outputs)"),
    "three values": (lambda loss, outputs: (loss, outputs, 0), "tuple of 3; expected (loss, outputs)"),
    "a number": (lambda loss, outputs: (0, outputs), "a loss of type int; expected a tensor"),
    "a whole number": (lambda loss, outputs: (tf.constant(1), outputs), "a loss of dtype int32"),
    "a constant": (lambda loss, outputs: (tf.constant(1.0), outputs), "depends on no weight"),
    "no gradient": (lambda loss, outputs: (tf.stop_gradient(loss), outputs), "depends on no weight"),
    "a loss per row": (lambda loss, outputs: (outputs[:, 0], outputs), "the loss has shape (None,)"),
    "no outputs": (lambda loss, outputs: (loss, None), "None for the outputs"),
    "other rows": (lambda loss, outputs: (loss, outputs[:3]), "outputs of 3 rows for a batch of 16"),
}


@pytest.mark.parametrize("case", COMPUTED)
def test_what_compute_must_not_return_is_refused_in_one_line(case: str) -> None:
    change, said = COMPUTED[case]

    class Bad(Toy):
        def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
            return change(*super().compute(model, batch, training))

    with pytest.raises(UserError) as caught:
        Trainer(epochs=1, batch_size=16).prepare(Bad())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_compute_is_told_by_its_line_and_no_mismatch() -> None:
    class Bad(Toy):
        def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
            return model(batch.x, training=training)

    with pytest.raises(UserError) as caught:
        Trainer(epochs=1, batch_size=16).prepare(Bad())
    line = Bad.compute.__code__.co_firstlineno + 1
    assert str(caught.value).endswith(
        f": compute() raised AttributeError at {__file__}:{line}: 'tuple' object has no attribute 'x'. "
        "Its batch is a tuple (x, y) of the rows' tensors."
    )


def test_compute_may_return_no_outputs_where_nothing_compares_them() -> None:
    class Bare(Toy):
        def metrics(self) -> Any:
            return []

        def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
            return super().compute(model, batch, training)[0], None

    assert len(Trainer(epochs=1, batch_size=16).fit(Bare()).history["val_loss"]) == 1


def test_a_missing_checkpoint_is_told_by_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    trainer = Trainer(epochs=1, batch_size=16, run_dir=tmp_path / "new")
    for name, said in {
        "nowhere": "does not exist",
        "run": "run directory without a checkpoint",
        "other": "no checkpoint: it has no checkpoint.json",
    }.items():
        with pytest.raises(UserError, match=said):
            trainer.fit(Toy(), resume=tmp_path / name)
        with pytest.raises(UserError, match=said):
            trainer.evaluate(Toy(), checkpoint=tmp_path / name)
    assert not (tmp_path / "new").exists()
    trained().save_checkpoint(tmp_path / "run" / "checkpoints" / "best")
    with pytest.raises(UserError, match=r"give one of its checkpoints, .*checkpoints/best"):
        trainer.fit(Toy(), resume=tmp_path / "run")


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(UserError, match=r"data is int; expected a method"):
        Trainer(epochs=1).prepare(type("Bad", (Toy,), {"data": 3})())


def test_a_name_that_is_a_method_is_refused() -> None:
    with pytest.raises(UserError, match="name is a method; expected a text"):
        Trainer(epochs=1).prepare(type("Bad", (Toy,), {"name": lambda self: "x"})())


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


class Steps(Toy):
    """A number for each of 16 steps, and a weight for each row alone: Keras multiplies steps by them."""

    def data(self) -> Splits:
        x = np.zeros([32, 16, 6], "float32")
        return Splits(Arrays(x, x[..., :1], np.ones([32], "float32")))

    def model(self, train: Arrays) -> keras.Model:
        return keras.Sequential([keras.Input((16, 6)), keras.layers.Dense(1)])

    def loss(self) -> Any:
        return "mse"

    def metrics(self) -> list[Any]:
        return []


def test_weights_per_row_of_a_loss_per_step_are_refused() -> None:
    with pytest.raises(UserError, match=r"shape \(\) per row do not fit a loss of shape \(16,\)"):
        Trainer(epochs=1, batch_size=16).fit(Steps())


def callback_of(monitor: str) -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping(monitor, patience=1)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a number as task": (lambda: Trainer().fit(3), "task: got int; expected a Task"),
    "a class as task": (lambda: Trainer().fit(Toy), "call the class, Toy()"),
    "a model as task": (lambda: Trainer().fit(keras.Sequential()), "trainkit.fit(model, x, y)"),
    "arrays as data": (
        lambda: Trainer().fit(Toy(), data=TRAIN),
        "data: got Arrays; expected trainkit.Splits",
    ),
    "callbacks, numbers": (lambda: Trainer(callbacks=[1]), "callbacks: got int"),
    "callbacks, a class": (lambda: Trainer(callbacks=[keras.callbacks.History]), "got the class History"),
    "optimizer, a typing error": (lambda: Trainer(optimizer="adamm"), "optimizer: got 'adamm'"),
    "a monitor": (lambda: Trainer(callbacks=callback_of("val_los")).fit(Toy()), "did you mean val_loss"),
    "rows in a tuple of lists": (lambda: trained().predict(([0.0] * 6,) * 2), "rows or several inputs"),
    "a folder to save in": (lambda: trained().save_checkpoint(None), "path: got NoneType; expected a path"),
    "a run directory": (lambda: Trainer(run_dir=3), "run_dir: got int; expected a path"),
    "a checkpoint": (lambda: trained().fit(Toy(), resume=3), "checkpoint: got int; expected a path"),
    "batches to predict": (lambda: trained().predict(iter([X])), "predict: rows do not fit the model"),
    "a used optimizer": (lambda: with_one_optimizer(Toy(), Toy(n=60)), "another model's weights"),
}


def trained() -> Trainer:
    trainer = Trainer(batch_size=16)
    trainer.prepare(Toy())
    return trainer


def with_one_optimizer(*tasks: Toy) -> None:
    trainer = Trainer(batch_size=16, optimizer=keras.optimizers.Adam())
    for task in tasks:
        trainer.prepare(task)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_of_a_trainer_is_said_in_one_line(name: str) -> None:
    act, words = WRONG[name]
    with pytest.raises(UserError) as raised:
        act()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_lists_and_frames_are_predicted_as_arrays() -> None:
    trainer = trained()
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    expected = trainer.predict(rows)
    for given in (rows.tolist(), pandas.DataFrame(rows), tf.constant(rows)):
        np.testing.assert_allclose(trainer.predict(given), expected, rtol=1e-6)


def test_a_dataset_of_rows_is_predicted_as_their_array() -> None:
    trainer = trained()
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    expected = trainer.predict(rows)
    for given in (rows, (rows, Y[:20])):
        dataset = tf.data.Dataset.from_tensor_slices(given)
        for one in (dataset, dataset.batch(16)):
            np.testing.assert_allclose(trainer.predict(one), expected, rtol=1e-6)


def test_a_trainer_takes_what_keras_takes() -> None:
    """One callback, none, an optimizer's name, a number of NumPy's."""
    trainer = Trainer(epochs=np.int64(1), optimizer="sgd", callbacks=keras.callbacks.History())
    for task in (Toy(), Toy(batch_norm=True)):
        setup = trainer.prepare(task)
        assert (setup.config.epochs, type(setup.model.optimizer).__name__) == (1, "SGD")
    assert len(trainer.callbacks) == 1
    assert Trainer(callbacks=None).callbacks == []
