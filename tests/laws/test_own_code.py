"""Code of a user's own does what it does in `model.fit`: optimizers, rates, metrics, steps, layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import trainkit as tk
from trainkit.callbacks.observer import Observer
from trainkit.trainer import execution

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(10, 2)).astype("float32")
MODES: tuple[dict[str, Any], ...] = ({}, {"execution": "epoch_xla"})
Make = Callable[[], keras.Model]


def trained(make: Make, fit: Callable[..., Any], x: Any, y: Any, **settings: Any) -> list[np.ndarray]:
    """The losses of a training in ragged batches, and all variables after it."""
    keras.utils.set_random_seed(0)
    model = make()
    keras.utils.set_random_seed(1)
    settings = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0, **settings}
    losses = fit(model, x, y, **settings).history["loss"]
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(losses), *(np.asarray(keras.ops.cast(v, "float32")) for v in variables)]


def assert_as_fit(
    make: Make, x: Any = X, y: Any = Y, rtol: float = 1e-4, modes: Sequence[dict[str, Any]] = ({},)
) -> None:
    wanted = trained(make, keras.Model.fit, x, y)
    for settings in modes:
        for got, value in zip(trained(make, tk.fit, x, y, **settings), wanted, strict=True):
            np.testing.assert_allclose(got, value, rtol=rtol, atol=1e-5, err_msg=str(settings))


def dense(optimizer: Any, loss: Any = "mse", **settings: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    model.compile(optimizer, loss, **settings)
    return model


class RatePerLayer(keras.optimizers.Adam):
    """Trains kernels ten times as slowly as biases."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        share = 0.1 if len(variable.shape) == 2 else 1.0
        super().update_step(gradient, variable, learning_rate * share)


class BetaPerLayer(keras.optimizers.Adam):
    """Has another first beta for kernels."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.beta_1 = 0.5 if len(variable.shape) == 2 else 0.9
        super().update_step(gradient, variable, learning_rate)


@pytest.mark.parametrize("optimizer", [RatePerLayer, BetaPerLayer])
def test_an_adam_may_treat_each_variable_in_its_own_way(optimizer: Any) -> None:
    assert_as_fit(lambda: dense(optimizer(0.05)), modes=MODES)


def test_a_rate_is_asked_for_as_often_as_by_keras() -> None:
    """A function that gives a rate may change what it gives next: nobody calls it only to log the rate."""

    def make() -> keras.Model:
        rate = tf.Variable(0.2)
        return dense(keras.optimizers.SGD(lambda: rate.assign(rate * 0.9) * 1.0))

    assert_as_fit(make, modes=(*MODES, {"exact": True}))


def test_a_gradient_that_broadcasts_is_broadcast() -> None:
    class Broadcast(layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(3,), initializer="ones")

        def call(self, x: Any) -> Any:
            @tf.custom_gradient
            def scaled(x: Any, scale: Any) -> Any:
                return x * scale, lambda dy: (dy * scale, tf.reduce_mean(dy))

            return scaled(x, tf.convert_to_tensor(self.scale))

    def make() -> keras.Model:
        model = keras.Sequential([keras.Input((3,)), Broadcast(), layers.Dense(2)])
        model.compile(keras.optimizers.Adam(0.05), "mse")
        return model

    assert_as_fit(make)


class OwnStep(keras.Model):
    """Weighs its mean loss by the number of rows that the trace knows: by one, if it knows none."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        self._loss_tracker.update_state(loss, sample_weight=x.shape[0])
        return {"loss": self._loss_tracker.result()}


class Penalty(keras.Model):
    """Penalises the gradient by its inputs."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(x)
                outputs = self(x, training=True)
                total = tf.reduce_sum(outputs)
            slope = tf.cast(inner.gradient(total, x), tf.float32)
            loss = tf.reduce_mean((tf.cast(outputs, tf.float32) - y) ** 2) + tf.reduce_mean(slope**2)
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        return {"loss": loss}


def stepping(kind: type[keras.Model], *inside: layers.Layer, shape: tuple[int, ...] = (3,)) -> keras.Model:
    given = keras.Input(shape)
    outputs = given
    for layer in (*inside, layers.Dense(2)):
        outputs = layer(outputs)
    model = kind(given, outputs)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def test_an_own_step_knows_as_little_of_its_rows_as_in_keras() -> None:
    assert_as_fit(lambda: stepping(OwnStep), modes=MODES)
    assert_as_fit(lambda: stepping(OwnStep), X[:8], Y[:8], modes=MODES)  # in Keras, too, they are known


def by_rows(x: Any) -> Any:
    """More of it, by the number of rows that the trace knows."""
    return x * (0.5 if x.shape[0] is None else 1.0 + x.shape[0] / 20)


class ByRows(layers.Layer):
    """Asks for the number of rows."""

    def call(self, x: Any) -> Any:
        return by_rows(x)


def batches(**settings: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4, **settings)


@pytest.mark.parametrize(
    "rows",
    [lambda: (X, Y), lambda: (X[:8], Y[:8]), batches, lambda: batches(drop_remainder=True)],
    ids=["ragged", "even", "dataset", "dataset of one size"],
)
def test_own_code_knows_as_much_of_its_rows_as_in_keras(rows: Callable[[], Any]) -> None:
    def losses(fit: Callable[..., Any], **settings: Any) -> list[float]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), ByRows(), layers.Dense(2)])
        model.compile("sgd", lambda y, outputs: by_rows((y - outputs) ** 2), metrics=["mae"])
        given = rows()
        x, y = given if isinstance(given, tuple) else (given, None)
        size = None if y is None else 4
        settings = {"validation_data": (X[:8], Y[:8]), "validation_batch_size": 4, **settings}
        history = fit(model, x, y, size, 2, 0, shuffle=False, **settings).history
        return [value for name in sorted(history) for value in history[name]]

    wanted = losses(keras.Model.fit)
    for settings in MODES:
        np.testing.assert_allclose(losses(tk.fit, **settings), wanted, rtol=1e-5, err_msg=str(settings))


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_a_penalty_on_a_gradient_goes_through_recurrent_layers(kind: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(8, 5, 3)).astype("float32")  # two batches of one size
    assert_as_fit(lambda: stepping(Penalty, kind(4), shape=(5, 3)), x=rows, y=Y[:8])


def test_a_penalty_on_a_gradient_goes_through_bfloat16_products() -> None:
    make = lambda: stepping(Penalty, layers.Dense(4, "tanh", dtype="mixed_bfloat16"))  # noqa: E731
    assert_as_fit(make, rtol=0.03, modes=MODES[1:])


def test_batch_normalisation_may_keep_its_averages_in_bfloat16() -> None:
    inside = [layers.Dense(4, dtype="bfloat16"), layers.BatchNormalization(dtype="bfloat16")]
    keras.utils.set_random_seed(0)
    model = stepping(keras.Model, *inside)
    assert np.isfinite(tk.fit(model, X, Y, batch_size=4, verbose=0).history["loss"]).all()


def test_a_metric_is_reset_by_its_own_code_between_epochs() -> None:
    seen: dict[str, list[float]] = {}

    class Last(keras.metrics.Metric):
        def __init__(self, of: str) -> None:
            super().__init__(name="last")
            self.of, self.total = of, self.add_weight(name="total", initializer="zeros")

        def update_state(self, y: Any, outputs: Any, sample_weight: Any = None) -> None:
            self.total.assign_add(keras.ops.sum(outputs))

        def result(self) -> Any:
            return self.total

        def reset_state(self) -> None:
            seen.setdefault(self.of, []).append(float(self.total))
            self.total.assign(0.0)

    trained(lambda: dense("sgd", metrics=[Last("fit")]), keras.Model.fit, X, Y)
    trained(lambda: dense("sgd", metrics=[Last("ours")]), tk.fit, X, Y)
    # Before its first batch, Keras has not yet found the metric.
    np.testing.assert_allclose(seen["ours"][-2:], seen["fit"], rtol=1e-5)


def test_a_loss_scale_falls_as_far_as_in_keras() -> None:
    scaled = lambda: keras.optimizers.LossScaleOptimizer(  # noqa: E731
        keras.optimizers.SGD(0.1), initial_scale=1e-6
    )
    assert_as_fit(lambda: dense(scaled()), rtol=1e-3)


def test_texts_are_never_given_to_xla() -> None:
    """The attempt would end the process, at the second training."""
    words = tf.constant(["a b", "b c", "c", "a a a", "d", "b"])

    def make() -> keras.Model:
        text = layers.TextVectorization(max_tokens=6, output_sequence_length=3)
        text.adapt(["a b c d"])
        inside = [text, layers.Embedding(8, 3), layers.Flatten(), layers.Dense(2)]
        model = keras.Sequential([keras.Input((), dtype="string"), *inside])
        model.compile("sgd", "mse")
        return model

    for _ in range(2):
        with pytest.warns(UserWarning, match="XLA cannot compile .*; the training goes on without"):
            tk.fit(make(), words, Y[:6], batch_size=4, verbose=0, execution="epoch_xla")


@pytest.mark.parametrize("form", ["arrays", "Dataset"])
def test_what_keras_raises_for_is_not_trained_on(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where XLA, which checks nothing, would pay."""
    monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.0)
    monkeypatch.setattr(execution, "EMBEDDING_COMPILE_SECONDS", 0.0)

    class Checked(layers.Layer):
        def call(self, inputs: Any) -> Any:
            tf.debugging.assert_less(inputs, 0.0)
            return inputs

    def make(*checked: layers.Layer) -> keras.Model:
        inside = [layers.Embedding(5, 3), layers.Flatten(), layers.Dense(3, "softmax"), *checked]
        model = keras.Sequential([keras.Input((2,), dtype="int32"), *inside])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    def rows(wrong: str = "") -> dict[str, Any]:
        x, y = np.arange(20).reshape(10, 2) % 5, np.arange(10) % 3
        x[3, 1] = 7 if wrong == "index" else x[3, 1]
        y[5] = 3 if wrong == "label" else y[5]
        if form == "arrays":
            return {"x": x, "y": y, "batch_size": 4}
        return {"x": tf.data.Dataset.from_tensor_slices((x, y)).repeat(30).batch(4)}

    kept: list[str] = []
    tk.fit(make(), **rows(), epochs=2, verbose=0, callbacks=[_Seen(kept)])
    assert kept == ["epoch_xla"] * 2, "the rule is not what keeps XLA out"
    for wrong in ("index", "label", "assertion"):
        inside = [Checked()] if wrong == "assertion" else []
        for fit in (keras.Model.fit, tk.fit):
            with pytest.raises(tf.errors.InvalidArgumentError):
                fit(make(*inside), **rows(wrong), epochs=2, verbose=0)


class _Seen(Observer):
    def __init__(self, kept: list[str]) -> None:
        super().__init__()
        self.kept = kept

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.kept.append(self.run.execution)
