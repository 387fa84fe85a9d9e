"""A short training costs no more than `model.fit`: one trace of a step, which later trainings share, and no
kernel that takes longer to compile than it saves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import trainkit as tk
from tests.support.training import programs_made
from trainkit.backend import compile_cache, recurrent
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Arrays
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer import given_rows, pacing, short_trainings
from trainkit.trainer.batch_feed import BatchFeed
from trainkit.trainer.chosen_execution import RowsForXla
from trainkit.trainer.joined_batches import direct_window
from trainkit.trainer.short_trainings import recurrent_kernels_pay
from trainkit.trainer.sources import arrays_source

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Hook(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """It is called at every batch."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TrainProgram]:
    """The training programs that are made in the test."""
    return programs_made(monkeypatch)


def dense() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def several_fits(fit: Any) -> list[float]:
    """The losses of trainings on rows of many forms, one after the other."""
    model = dense()
    data = tf.data.Dataset.from_tensor_slices((X, Y))

    def generated() -> Iterator[Any]:
        for begin in (0, 8, 16):
            yield X[begin : begin + 8], Y[begin : begin + 8]

    known = {"verbose": 0, "shuffle": False}
    histories = [
        fit(model, data.batch(8), epochs=2, callbacks=[Hook()], verbose=0),
        fit(model, generated(), steps_per_epoch=3, verbose=0),
        fit(model, data.repeat().batch(5), steps_per_epoch=3, validation_data=(X, Y), verbose=0),
        fit(model, data.batch(4), steps_per_epoch=4, callbacks=[Hook()], verbose=0),
    ]
    for rows in (22, 21, 19):
        histories.append(fit(model, X[:rows], Y[:rows], batch_size=8, **known))
    return [loss for one in histories for values in one.history.values() for loss in values]


def test_short_trainings_on_rows_of_many_forms_share_programs(made: list[TrainProgram]) -> None:
    mine = several_fits(tk.fit)
    assert sum(program.traces for program in made) == 1
    np.testing.assert_allclose(mine, several_fits(keras.Model.fit), rtol=1e-4)


class Own(keras.Model):
    """A model with a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = layers.Dense(1)
        self.mean = keras.metrics.Mean(name="loss")

    def call(self, x: Any) -> Any:
        return self.layer(x)

    def train_step(self, data: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self(data[0]) - data[1]) ** 2)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}


def test_an_own_step_is_traced_once_for_a_ragged_last_batch(made: list[TrainProgram]) -> None:
    model = Own()
    model.compile("sgd")
    tk.fit(model, tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), epochs=2, verbose=0)
    assert [program.traces for program in made] == [1]


def test_batches_of_unknown_number_are_joined_once_the_training_turns_out_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    direct = []
    window = BatchFeed.window

    def noted(self: BatchFeed, epoch: int, start: int) -> Any:
        found = window(self, epoch, start)
        direct.extend([] if found is None else [found.direct])
        return found

    monkeypatch.setattr(given_rows, "SHORT_STEPS", 5)
    monkeypatch.setattr(BatchFeed, "window", noted)
    rows = tf.data.Dataset.from_tensor_slices((X[:16], Y[:16])).filter(lambda x, y: True).batch(2)
    tk.fit(dense(), rows, epochs=2, verbose=0)
    assert direct[:5] == [True] * 5
    assert not any(direct[5:])


def test_a_short_training_runs_keras_s_recurrent_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    usual = recurrent._compiled
    monkeypatch.setattr(recurrent, "_compiled", lambda one: compiled.append(one) or usual(one))
    sequences = np.repeat(X[:, None], 2, 1)
    for seconds in (short_trainings.TIME_STEP_SECONDS, 1.0):
        monkeypatch.setattr(short_trainings, "TIME_STEP_SECONDS", seconds)
        model = keras.Sequential([keras.Input((2, 3)), layers.LSTM(3), layers.Dense(1)])
        model.compile("sgd", "mse")
        tk.fit(model, sequences, Y, batch_size=8, verbose=0)
        assert bool(compiled) is (seconds == 1.0)


@pytest.mark.parametrize(
    ("epochs", "time_steps", "pay"), [(1, 60, False), (20, 60, True), (20, 5, False), (20, None, True)]
)
def test_recurrent_kernels_pay_where_time_steps_are_many(
    epochs: int, time_steps: int | None, pay: bool
) -> None:
    spec = (tf.TensorSpec([time_steps, 3]), tf.TensorSpec([1]))
    found = recurrent_kernels_pay(TrainerConfig(epochs=epochs, execution="auto"), 10, spec)
    assert found is pay


def test_what_xla_has_not_compiled_is_not_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv(compile_cache.FLAGS, f"{compile_cache.OPTION}{tmp_path}")
    reads = []
    noted = compile_cache._noted
    monkeypatch.setattr(compile_cache, "_noted", lambda folder: reads.append(folder) or noted(folder))
    (tmp_path / "checksums.json").write_text("{}")
    compile_cache._drop_damaged(tmp_path)
    compile_cache.note()
    assert len(reads) == 1
    (tmp_path / "new.pb").write_bytes(b"program")
    compile_cache.note()
    assert list(noted(tmp_path)) == ["new.pb"]


def test_a_call_trains_many_batches_of_a_long_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as last about as long as a call should, from one step on."""
    calls = []
    call = TrainProgram.__call__

    def counted(self: TrainProgram, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("epochs", 1):  # else it is traced
            calls.append(kwargs["stop"] - kwargs["start"])
        return call(self, *args, **kwargs)

    monkeypatch.setattr(TrainProgram, "__call__", counted)
    monkeypatch.setattr(
        pacing.Pacing, "record", lambda self, seconds, steps: setattr(self, "step_seconds", 1e-6)
    )
    x, y = np.tile(X, (200, 1)), np.tile(Y, (200, 1))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    ours = tk.fit(model := dense(), data, epochs=1, verbose=0).history
    assert sum(calls) == 550 == model.optimizer.iterations
    assert len(calls) < 50
    theirs = (keras_model := dense()).fit(data, epochs=1, verbose=0).history
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
    for one, other in zip(model.get_weights(), keras_model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_what_comes_before_an_error_of_the_data_is_trained() -> None:
    """A window of batches that are read together ends there."""

    def batches() -> Iterator[Any]:
        for _ in range(20):
            yield np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
        raise OSError("no such disk")

    trained = []
    for fit in (keras.Model.fit, tk.fit):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        with pytest.raises(tf.errors.UnknownError, match="no such disk"):
            fit(model, batches(), steps_per_epoch=200, epochs=2, verbose=0)
        trained.append(int(model.optimizer.iterations))
    assert trained == [21, 20]  # Keras counts half a step more, see docs/model_fit.md


@pytest.mark.parametrize("form", ["arrays", "Dataset"])
def test_a_later_training_on_such_rows_looks_at_the_model_no_more(form: str) -> None:
    """Nor does Keras, which calls its layers in Python where it traces them alone."""
    called: list[int] = []

    class Counting(layers.Layer):
        def call(self, inputs: Any) -> Any:
            called.append(1)
            return inputs

    def given(shift: float) -> dict[str, Any]:
        x = X + shift
        return (
            {"x": x, "y": Y}
            if form == "arrays"
            else {"x": tf.data.Dataset.from_tensor_slices((x, Y)).batch(8)}
        )

    model = keras.Sequential([keras.Input((3,)), Counting(), layers.Dense(1)])
    model.compile("sgd", "mse")
    tk.fit(model, **given(0.0), verbose=0)
    called.clear()
    for shift in (1.0, 2.0):
        tk.fit(model, **given(shift), verbose=0)
    assert not called
    model.compile("sgd", "mae")
    tk.fit(model, **given(0.0), verbose=0)
    assert called


@pytest.mark.parametrize(("widths", "joins"), [([2, 2, 2, 3], False), ([2, 2, 2, 2], True)])
def test_batches_are_joined_where_many_are_equal(
    widths: list[int], joins: bool, made: list[TrainProgram]
) -> None:
    """Three of one width between others are not worth a trace; a last batch of fewer rows makes no other."""
    drawn = np.random.default_rng(0)
    kept = [drawn.normal(size=(1 if n % 4 == 3 else 4, widths[n % 4], 1)) for n in range(80)]

    def batches() -> Iterator[Any]:
        for x in kept:
            yield x, x.sum(1)

    signature = tuple(tf.TensorSpec(shape, "float32") for shape in ((None, None, 1), (None, 1)))
    trained = []
    for fit in (keras.Model.fit, tk.fit):
        rows = tf.data.Dataset.from_generator(batches, output_signature=signature)
        rows = rows.apply(tf.data.experimental.assert_cardinality(80))
        model = keras.Sequential([keras.Input((None, 1)), layers.GlobalAveragePooling1D(), layers.Dense(1)])
        model.layers[1].kernel.assign([[0.5]])
        model.compile("sgd", "mse")
        fit(model, rows, epochs=2, verbose=0)
        assert int(model.optimizer.iterations) == 160
        trained.append(model.get_weights())
    for by_keras, ours in zip(*trained, strict=True):
        np.testing.assert_allclose(by_keras, ours, rtol=1e-5)
    assert any(not program.spec.direct for program in made) is joins


def test_a_model_whose_train_function_is_taken_away_is_looked_at_again() -> None:
    """So does Keras, which traces another step then."""
    told = []
    for fit in (keras.Model.fit, tk.fit):
        model = dense()
        fit(model, X, Y, verbose=0)
        model.train_step = lambda batch: {"mine": tf.constant(7.0)}
        model.train_function = None
        told.append(fit(model, X, Y, verbose=0).history)
    assert told[0] == told[1] == {"mine": [7.0]}


@pytest.mark.parametrize(("counts", "told"), [([4, 4, 1, 4], False), ([4, 3, 2, 1], True)])
def test_xla_is_left_where_it_compiles_for_ever_new_numbers_of_rows(counts: list[int], told: bool) -> None:
    setup = SimpleNamespace(source=SimpleNamespace(is_seen=False), config=TrainerConfig())
    cache: Any = SimpleNamespace(setup=setup, why_rows_not_in_xla=lambda rows, count: "")
    why_not = RowsForXla(cache)
    found = [why_not(direct_window((tf.ones([count, 2]),), step)) for step, count in enumerate(counts)]
    assert any(found) is told


def test_rows_that_change_before_they_train_are_looked_at_as_they_come() -> None:
    source = arrays_source(Arrays(X, Y), tf.distribute.get_strategy(), None)
    assert source.is_seen
    assert not replace(source, augmented=lambda epoch, rows: (X, Y)).is_seen
