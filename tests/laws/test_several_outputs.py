"""Tasks of several outputs without names, and of texts, train by both engines under the same names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import trainkit as tk
from tests.laws.test_parity import assert_equal_bits, compare
from trainkit.backend.compat.names import same_names

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


TASKS = {
    "a validation of one batch": Listed(8),
    "a validation of less": Listed(6),
    "a validation of one and a half": Listed(12),
    "texts": Texts("U"),
    "bytes": Texts("S"),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_both_engines_train_them_with_equal_bits(task: tk.Task) -> None:
    assert_equal_bits(compare(task, batch_size=8, epochs=1, execution="step"))


def one_task(task: tk.Task) -> Any:
    return tk.Trainer(epochs=1, batch_size=8).fit(task)


def test_trainings_that_are_compared_log_under_the_names_of_the_first() -> None:
    with same_names():
        first, other, second = one_task(Listed()), layers.Dense(1), one_task(Listed())
    assert set(first.history) == set(second.history)
    assert layers.Dense(1).name not in {layer.name for layer in (other, *first.model.layers)}


def test_models_of_other_trainings_have_names_of_their_own() -> None:
    """So that they can be put together."""
    models = [one_task(Listed()).model for _ in range(2)]
    inputs = keras.Input((6,))
    keras.Model(inputs, layers.Average()([model(inputs)[0] for model in models]))


def test_a_layer_of_a_former_model_may_be_used_again() -> None:
    task = Shared()
    with same_names():
        one_task(task)
        one_task(task)


def test_an_error_of_the_task_s_own_is_no_question_of_names() -> None:
    class Fails(Listed):
        calls = 0

        def model(self, train: Any) -> keras.Model:
            self.calls += 1
            raise ValueError("ids of rows are not unique")

    task = Fails()
    with same_names(), pytest.raises(ValueError, match="ids of rows"):
        one_task(task)
    assert task.calls == 1


class Taped(keras.Model):
    """A model whose own step sees labels in a tuple, as Keras shows them."""

    def train_step(self, data: Any) -> Any:
        assert isinstance(data[1], tuple)
        return super().train_step(data)


class Tuples(Listed):
    """Such a model."""

    def model(self, train: Any) -> keras.Model:
        inputs = keras.Input((6,))
        return Taped(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)])


@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_labels_in_a_list_reach_an_own_step_as_a_tuple(engine: str) -> None:
    tk.Trainer(epochs=1, batch_size=8, engine=engine).fit(Tuples())


class Asking(keras.Model):
    """A model that treats inputs in a list otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs[0]) * (2.0 if isinstance(inputs, list) else 1.0) + inputs[1]


class TwoInputs(tk.Task):
    """Inputs in a list, for such a model."""

    def data(self) -> tk.Splits:
        return splits([X[:, :2], X[:, 2:3]], X[:, :1], 8)

    def model(self, train: Any) -> keras.Model:
        return Asking()

    def loss(self) -> Any:
        return "mse"


@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_inputs_in_a_list_are_predicted_as_they_were_trained(engine: str) -> None:
    trainer = tk.Trainer(epochs=1, batch_size=8, engine=engine)
    trainer.fit(TwoInputs())
    rows = [X[28:36, :2], X[28:36, 2:3]]
    wanted = trainer.model.predict(rows, verbose=0)
    for found in (trainer.predict(rows), trainer.predict(tuple(rows)), trainer.predict(split="validation")):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_weight_of_one_output_may_be_in_a_list() -> None:
    weight, found = np.linspace(0.5, 2.0, 40, dtype="float32"), []
    for fit in (keras.Model.fit, tk.fit):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
        model.compile("sgd", "mse")
        given = {"sample_weight": [weight], "batch_size": 8, "shuffle": False, "epochs": 2, "verbose": 0}
        found.append(fit(model, X, X[:, :1], **given).history["loss"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


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
