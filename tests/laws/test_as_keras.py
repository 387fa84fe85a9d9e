"""What `trainkit.fit` leaves and refuses is what Keras leaves and refuses, in the default mode too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import trainkit as tk
from tests.support.training import programs_made
from trainkit.engine.train_loop import TrainProgram

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(10, 2)).astype("float32")


def dense(optimizer: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    model.compile(optimizer, "mse")
    return model


def test_a_training_inside_of_a_callback_leaves_the_rows_of_the_outer_one() -> None:
    class Inside(keras.callbacks.Callback):
        def __init__(self, fit: Callable[..., Any], settings: dict[str, Any]) -> None:
            super().__init__()
            self.fit, self.settings = fit, settings

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.fit(self.model, X[:4], Y[:4], verbose=0, shuffle=False, **self.settings)

    def losses(fit: Callable[..., Any], settings: dict[str, Any]) -> list[float]:
        keras.utils.set_random_seed(0)
        inside = Inside(fit, settings)
        history = fit(
            dense("sgd"), X, Y, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y), callbacks=[inside]
        ).history
        return [*history["loss"], *history["val_loss"]]

    for settings in ({}, {"validation_data": (5 * X, Y)}):
        np.testing.assert_allclose(losses(tk.fit, settings), losses(keras.Model.fit, settings), rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["nadam", "adafactor", "scaled"])
def test_the_variables_of_an_optimizer_have_keras_s_names(optimizer: str) -> None:
    def paths(fit: Callable[..., Any]) -> list[str]:
        keras.backend.clear_session()
        inner = "adam" if optimizer == "scaled" else optimizer
        made = keras.optimizers.get(inner)
        model = dense(keras.optimizers.LossScaleOptimizer(made) if optimizer == "scaled" else made)
        fit(model, X, Y, verbose=0)
        return [variable.path for variable in model.optimizer.variables]

    assert paths(tk.fit) == paths(keras.Model.fit)


class Pairs(keras.Model):
    """Trains on rows with and without labels, and is evaluated on rows with labels."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs_of = layers.Dense(2)
        self.tracker = keras.metrics.Mean(name="loss")

    def call(self, x: Any) -> Any:
        return self.outputs_of(x)

    def train_step(self, data: Any) -> Any:
        unlabelled, (x, y) = data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self(x) - y) ** 2) + keras.ops.mean(self(unlabelled) ** 2)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    def test_step(self, data: Any) -> Any:
        x, y = data
        return {"error": keras.ops.mean((self(x) - y) ** 2)}


def pairs_history(fit: Callable[..., Any], kind: type[Pairs], **settings: Any) -> dict[str, Any]:
    keras.utils.set_random_seed(0)
    model = kind()
    model.compile("sgd")
    rows = tf.data.Dataset.from_tensor_slices((5 * X, (X, Y))).batch(5)
    return dict(fit(model, rows, epochs=2, verbose=0, **settings).history)


@pytest.mark.filterwarnings("ignore:.*The model does not:UserWarning")
@pytest.mark.parametrize("as_arrays", [True, False])
def test_validation_rows_may_have_another_structure_than_training_rows(as_arrays: bool) -> None:
    validation = (X, Y) if as_arrays else tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    got, wanted = (
        pairs_history(fit, Pairs, validation_data=validation, validation_freq=2)
        for fit in (tk.fit, keras.Model.fit)
    )
    assert list(got) == list(wanted) == ["loss", "val_error"]
    for name in wanted:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5)


def test_an_own_test_step_is_not_asked_where_nothing_is_validated() -> None:
    class Trains(Pairs):
        def test_step(self, data: Any) -> Any:
            raise NotImplementedError("there is no evaluation")

    got, wanted = (pairs_history(fit, Trains)["loss"] for fit in (tk.fit, keras.Model.fit))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_rows_left_out_are_refused_in_one_line() -> None:
    with pytest.raises(tk.UserError, match=r"^x is None: give the rows to train on") as raised:
        tk.fit(dense("sgd"), None, Y, verbose=0)
    assert "\n" not in str(raised.value)


def test_a_number_that_is_not_whole_is_refused_in_one_line() -> None:
    with pytest.raises(tk.UserError, match=r"^batch_size=2\.5: expected a whole number"):
        tk.fit(dense("sgd"), X, Y, batch_size=2.5, verbose=0)


def test_epochs_are_counted_by_any_whole_number() -> None:
    history = tk.fit(dense("sgd"), X, Y, epochs=np.int64(2), batch_size=np.int32(4), verbose=0)
    assert history.epoch == [0, 1]


def test_a_model_made_in_a_strategy_s_scope_trains_outside_of_it() -> None:
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = dense(keras.optimizers.Adam(0.1))
    first = model.get_weights()[0]
    tk.fit(model, X, Y, verbose=0)
    assert int(model.optimizer.iterations) == 1
    assert not np.array_equal(first, model.get_weights()[0])


def batches(*ends: int) -> tf.data.Dataset:
    """The rows in batches that end with these, of no rows where two are equal."""

    def parts() -> Any:
        for begin, end in zip((0, *ends), ends, strict=False):
            yield X[begin:end], Y[begin:end]

    signature = (tf.TensorSpec((None, 3)), tf.TensorSpec((None, 2)))
    made = tf.data.Dataset.from_generator(parts, output_signature=signature)
    return made.apply(tf.data.experimental.assert_cardinality(len(ends)))


@pytest.mark.parametrize("ends", [(0, 5, 5, 10), (5, 10, 10, 12), (4, 8, 8)], ids=["first", "later", "last"])
def test_a_batch_of_no_rows_trains_as_in_keras(ends: tuple[int, ...]) -> None:
    def losses(fit: Callable[..., Any]) -> Any:
        keras.utils.set_random_seed(0)
        return fit(dense("adam"), batches(*ends), epochs=2, verbose=0, shuffle=False).history["loss"]

    np.testing.assert_allclose(losses(tk.fit), losses(keras.Model.fit), rtol=1e-5)


class Recompile(keras.callbacks.Callback):
    """Compiles the model once, after an epoch, or (None) after each batch."""

    def __init__(self, epoch: int | None) -> None:
        super().__init__()
        if epoch is None:
            self.on_train_batch_end = self.on_epoch_end
        self.epoch = epoch or 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            self.model.compile("adam", "mae")


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("epoch", [0, None], ids=["after an epoch", "after a batch"])
def test_a_model_that_a_callback_compiles_trains_no_further(epoch: int | None, exact: bool) -> None:
    model = dense("sgd")
    with pytest.raises(tk.UserError, match=r"compiled the model anew .* model.fit fails, too") as raised:
        tk.fit(model, X, Y, 4, epochs=2, verbose=0, exact=exact, callbacks=[Recompile(epoch)])
    assert "\n" not in str(raised.value)
    assert int(model.optimizer.iterations) == 0


def test_a_callback_may_compile_after_the_last_epoch() -> None:
    history = tk.fit(dense("sgd"), X, Y, epochs=2, verbose=0, callbacks=[Recompile(1)])
    assert history.epoch == [0, 1]


@pytest.mark.parametrize("labels", [Y.astype(object), Y.astype(str)], ids=["objects", "strings"])
def test_arrays_that_keras_has_no_type_for_are_refused_by_their_type(labels: Any) -> None:
    with pytest.raises(tk.UserError, match=rf"^An array of type {labels.dtype} .* array.astype\('float32'\)"):
        tk.fit(dense("sgd"), X, labels, verbose=0)


def test_a_column_of_text_trains_as_in_keras() -> None:
    def model() -> keras.Model:
        words = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
        made = keras.Sequential([keras.Input((), dtype="string"), words, keras.layers.Dense(1)])
        made.layers[-1].set_weights([np.ones((3, 1)), np.zeros(1)])
        made.compile("sgd", "mse")
        return made

    text = np.array(["a", "b", "?", "b"] * 4, object)
    labels = np.arange(16.0)
    rest = {"verbose": 0, "shuffle": False, "validation_data": (text, labels), "batch_size": 8}
    expected = model().fit(text, labels, **rest).history
    for exact in (False, True):
        history = tk.fit(model(), text, labels, exact=exact, **rest).history
        assert history == {name: pytest.approx(values, rel=1e-5) for name, values in expected.items()}
    for other in (text[:, None], np.array([*text[1:], None], object)):  # which Keras refuses, too
        with pytest.raises(tk.UserError, match="An array of type object is no input of a Keras model"):
            tk.fit(model(), other, labels, verbose=0)
    with pytest.raises(tk.UserError, match="An array of type <U1 is no input of a Keras model"):
        tk.fit(model(), text.astype(str), labels, verbose=0, exact=True)


def test_rows_of_none_are_said_to_be_none() -> None:
    with pytest.raises(tk.UserError, match="There are no rows: the arrays are empty"):
        tk.fit(dense("sgd"), X[:0], Y[:0], verbose=0)
    with pytest.raises(tk.UserError, match="There are no rows: the arrays are empty"):
        tk.Arrays(X[:0], Y[:0])


@pytest.mark.parametrize("verbose", ["none", None])
def test_a_verbosity_that_keras_takes_for_silence_is_taken(verbose: Any, capsys: Any) -> None:
    tk.fit(dense("sgd"), X, Y, verbose=verbose)
    assert capsys.readouterr().out == ""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TrainProgram]:
    """The programs that are made in the test."""
    return programs_made(monkeypatch)


@pytest.mark.parametrize(
    "rows", [lambda: batches(1, 3, 6, 10), lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)]
)
def test_batches_of_many_sizes_are_traced_once_in_a_short_training(
    rows: Any, made: list[TrainProgram]
) -> None:
    """Windows of many equal batches would be one trace more, which takes longer than it saves."""
    tk.fit(dense("sgd"), rows(), epochs=2, verbose=0, shuffle=False)
    assert [program.traces for program in made] == [1]


def test_models_that_are_trained_in_turns_are_traced_once_each(made: list[TrainProgram]) -> None:
    models = [dense("sgd"), dense("sgd")]
    for model in 2 * models:
        tk.fit(model, X, Y, verbose=0)
    assert [program.traces for program in made] == [1, 1]


class Several(keras.metrics.Metric):
    """Two values of a name that does not sort as theirs do."""

    def update_state(self, y: Any, outputs: Any, sample_weight: Any = None) -> None:
        """There is nothing to note."""

    def result(self) -> dict[str, Any]:
        return {"beta": keras.ops.ones(()), "alpha": keras.ops.zeros(())}


@pytest.mark.parametrize("exact", [False, True])
def test_the_values_of_a_metric_stand_at_the_place_of_its_name_in_the_logs(exact: bool) -> None:
    names = []
    x = np.ones((4, 2), "float32")
    for fit_ in (keras.Model.fit, functools.partial(tk.fit, exact=exact)):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=[Several(name="zeta")])
        names.append(list(fit_(model, x, x[:, :1], validation_data=(x, x[:, :1]), verbose=0).history))
    assert names[1] == names[0]
    assert names[0][-2:] == ["alpha", "beta"]
