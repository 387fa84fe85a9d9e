"""What must not run ahead of the training: rows are told of an epoch's end once it is trained, hooks see what
they see in Keras, rows may be computed from the weights, and an error does not wait for rows."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from tests.support.small_batches import alike

pytestmark = pytest.mark.filterwarnings("ignore:.*ran out of data", "ignore:.*shuffle=True")

X = np.random.default_rng(0).random((80, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)
STEPS = 20  # batches of 4 rows


class Weighed(keras.utils.PyDataset):
    """Weighs each row by the model's error, anew after each epoch."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model
        self.weights = np.ones(len(X), np.float32)
        self.seen: list[tuple[int, bool]] = []

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, number: int) -> Any:
        part = slice(4 * number, 4 * number + 4)
        return X[part], Y[part], self.weights[part]

    def on_epoch_end(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        self.seen.append((int(self.model.optimizer.iterations), in_main_thread))
        self.weights = np.abs(np.asarray(self.model(X)) - Y)[:, 0]


@pytest.mark.parametrize("steps", [None, STEPS, 13])
@pytest.mark.parametrize(("epochs", "executed"), [(3, 1), (12, 1), (12, 4)])
def test_rows_are_told_of_an_epochs_end_once_it_is_trained(
    epochs: int, executed: int, steps: int | None
) -> None:
    """In windows and in single batches, by the thread that trains: what the rows do there may depend on the
    model."""

    def trained(fit: Any) -> tuple[list[Any], list[Any]]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.05), "mse", steps_per_execution=executed)
        rows = Weighed(model)
        history = fit(model, rows, epochs=epochs, steps_per_epoch=steps, verbose=0)
        return [*history.history["loss"], *model.get_weights()], rows.seen

    wanted, told = trained(keras.Model.fit)
    assert len(told) > epochs // 2
    found, seen = trained(tk.fit)
    assert seen == told
    if steps != 13:  # of rows that go on, Keras has some of the next epoch in hand
        alike(found, wanted)


class Hooks(keras.callbacks.Callback):
    """Notes the calls of its hooks; ends the first epoch after a few steps, if it is to."""

    def __init__(self, ends: bool) -> None:
        super().__init__()
        self.ends = ends
        self.calls: list[tuple[str, int]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch", epoch))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("end", batch))
        if self.ends and batch == 6 and self.calls.count(("begin", 0)) == 1:
            raise StopIteration


@pytest.mark.parametrize("executed", [1, 3])
@pytest.mark.parametrize("steps", [None, 13, 30])
@pytest.mark.parametrize("sees", ["hooks", "weights"])
def test_rows_that_end_unannounced_begin_again_as_in_keras(
    sees: str, steps: int | None, executed: int
) -> None:
    """Where nothing is read ahead, since a callback or the rows themselves see each step."""

    def trained(fit: Any) -> tuple[list[Any], list[Any], int]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", steps_per_execution=executed)
        rows = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).filter(lambda x, y: True)
        if sees == "weights":
            rows = rows.map(lambda x, y: (x, y + 0 * model.weights[0].value[0, 0]))
        hooks = Hooks(ends=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = fit(
                model,
                rows,
                epochs=3,
                steps_per_epoch=steps,
                verbose=0,
                callbacks=[hooks] if sees == "hooks" else [],
            )
        ended = sum("ran out of data" in str(one.message) for one in caught)
        return [*history.history["loss"], *model.get_weights()], hooks.calls, ended

    (wanted, told, ends), (found, calls, ended) = trained(keras.Model.fit), trained(tk.fit)
    assert (calls, ended) == (told, ends)
    alike(found, wanted)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("kind", ["of known length", "of unknown length", "without end"])
def test_on_replicas_batch_hooks_are_called_as_in_keras(kind: str, ends: bool) -> None:
    def trained(fit: Any) -> tuple[list[Any], list[Any]]:
        keras.utils.set_random_seed(0)
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
        rows = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
        if kind == "of unknown length":
            rows = rows.filter(lambda x, y: True)
        rows = rows.repeat() if kind == "without end" else rows
        hooks = Hooks(ends)
        steps = STEPS if kind == "without end" else None
        with model.distribute_strategy.scope():
            history = fit(model, rows, epochs=3, steps_per_epoch=steps, verbose=0, callbacks=[hooks])
        return [*history.history["loss"], *model.get_weights()], hooks.calls

    wanted, told = trained(keras.Model.fit)
    found, calls = trained(tk.fit)
    assert calls == told
    alike(found, wanted)


def test_an_error_does_not_wait_for_rows_that_are_being_read() -> None:
    opened = threading.Event()
    late = threading.Timer(60, opened.set)  # so that a failure ends

    def rows() -> Iterator[Any]:
        for number in range(200):
            if number == 100:
                opened.wait()  # a producer that has no more for now
            yield X[:4], np.full((4,), 7 if number == 20 else 1, np.int32)  # 7 is no class

    signature = (tf.TensorSpec((4, 3)), tf.TensorSpec((4,), tf.int32))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    given = tf.data.Dataset.from_generator(rows, output_signature=signature)
    late.start()
    try:
        with pytest.raises(tf.errors.InvalidArgumentError):
            tk.fit(model, given, epochs=2, steps_per_epoch=200, verbose=0)
        assert not opened.is_set()
    finally:
        late.cancel()
        opened.set()


@pytest.mark.parametrize("executed", [1, 4])
@pytest.mark.parametrize("epochs", [2, 12])
def test_rows_that_are_computed_from_the_weights_have_those_of_their_step(epochs: int, executed: int) -> None:
    """Keras promises no order within an execution: there, it is that of single steps."""

    def trained(fit: Any, executed: int) -> list[Any]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.05), "mse", steps_per_execution=executed)
        rows = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
        rows = rows.map(lambda x, y: (x, y, tf.abs(model(x) - y)[:, 0]))
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False  # which reads ahead in Keras, too
        history = fit(model, rows.with_options(options), epochs=epochs, verbose=0)
        return [*history.history["loss"], *model.get_weights()]

    alike(trained(tk.fit, executed), trained(keras.Model.fit, 1))
