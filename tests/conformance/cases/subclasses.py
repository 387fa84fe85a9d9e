"""Subclassed models, and the steps, losses and metrics that they bring themselves."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.conformance.parts import VALIDATION, X, Y, compiled, fit, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("subclasses")


class Plain(keras.Model):
    """Two layers; built when it is called first."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(4, activation="tanh")
        self.drop = layers.Dropout(0.3)
        self.head = layers.Dense(2)

    def call(self, x, training=False):
        return self.head(self.drop(self.hidden(x), training=training))


@case
def unbuilt(side: Side) -> None:
    fit(side, compiled(Plain(), metrics=["mae"]), validation_data=VALIDATION, record="batches")


@case
def unbuilt_without_callbacks(side: Side) -> None:
    fit(side, compiled(Plain(), metrics=["mae"]), validation_data=VALIDATION, epochs=3, record=None)


@case
def built_by_a_call(side: Side) -> None:
    model = compiled(Plain())
    model(X[:2])
    fit(side, model, validation_data=VALIDATION)


@case
def built_by_shape(side: Side) -> None:
    model = compiled(Plain())
    model.build((None, 3))
    fit(side, model)


@case
def without_a_training_argument(side: Side) -> None:
    class Bare(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.drop = layers.Dropout(0.5)
            self.head = layers.Dense(2)

        def call(self, x):
            return self.head(self.drop(x))

    fit(side, compiled(Bare()), validation_data=VALIDATION)


@case
def several_inputs(side: Side) -> None:
    """Keys out of alphabetical order, and one that the model does not read."""

    class Keyed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.wide = layers.Dense(4)
            self.narrow = layers.Dense(4)
            self.head = layers.Dense(2)

        def call(self, inputs):
            return self.head(ops.tanh(self.wide(inputs["z"]) + self.narrow(inputs["a"])))

    x = {"z": X, "a": X[:, :2], "m": X[:, :1]}
    fit(side, compiled(Keyed()), x, Y, validation_data=({k: v[:5] for k, v in x.items()}, Y[:5]))


@case
def a_functional_subclass(side: Side) -> None:
    """A class that hands inputs and outputs to `super().__init__` is Functional, with a step of its own."""

    class Doubled(keras.Model):
        def train_step(self, data):
            x, y = data
            return super().train_step((2 * x, y))

    inputs = keras.Input((3,))
    model = Doubled(inputs, layers.Dense(2)(inputs))
    fit(side, compiled(model, metrics=["mae"]), validation_data=VALIDATION)


@case
def own_train_step(side: Side) -> None:
    """What the step returns is logged, in alphabetical order, validation among it."""

    class Own(Plain):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                error = ops.mean(ops.square(y - self(x, training=True)))
            weights = self.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(error, weights), weights, strict=True))
            return {"z_error": error, "a_double": 2 * error}

    history = fit(side, compiled(Own()), validation_data=VALIDATION, record="batches")
    assert list(history.history) == ["a_double", "val_loss", "z_error"]


@case
def own_test_step(side: Side) -> None:
    class Own(Plain):
        def test_step(self, data):
            x, y = data
            return {"worst": ops.max(ops.abs(y - self(x, training=False)))}

    history = fit(side, compiled(Own(), metrics=["mae"]), validation_data=VALIDATION, record="batches")
    assert list(history.history) == ["loss", "mae", "val_worst"]


@case
def a_train_step_that_returns_a_structure(side: Side) -> None:
    """Nested dicts are flattened; ints become floats; vectors stay arrays."""

    class Own(Plain):
        def train_step(self, data):
            logs = super().train_step(data)
            return {
                **logs,
                "more": {"rows": tf.shape(data[0])[0], "nested": {"two": 2.0}},
                "pair": ops.ones(2),
            }

    fit(side, compiled(Own()), record="batches")


@case
def a_train_step_that_skips_an_update(side: Side) -> None:
    """The optimizer's count is of updates, not of batches."""

    class Own(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32")

        def train_step(self, data):
            self.seen.assign(self.seen + 1)
            with tf.GradientTape() as tape:
                loss = self.compute_loss(data[0], data[1], self(data[0], training=True))
            gradients = tape.gradient(loss, self.trainable_weights)
            weights = self.trainable_weights
            tf.cond(self.seen.value % 2 == 0, lambda: self.optimizer.apply(gradients, weights), lambda: None)
            return {"loss": loss}

    model = compiled(Own())
    model(X[:2])
    model.optimizer.build(model.trainable_variables)
    fit(side, model, epochs=3)


@case
def own_compute_loss(side: Side) -> None:
    class Own(Plain):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = ops.mean(ops.abs(y - y_pred)) + 0.1 * ops.mean(x)
            return loss if training else 10.0 * loss

    fit(side, compiled(Own(), None, metrics=["mae"]), validation_data=VALIDATION)


@case
def own_compute_loss_of_the_old_kind(side: Side) -> None:
    """Without the argument `training`, as before Keras 3.3."""

    class Own(Plain):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight) + 1.0

    fit(side, compiled(Own()), validation_data=VALIDATION)


@case
def own_compute_metrics(side: Side) -> None:
    class Own(Plain):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            logs = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**logs, "spread": ops.std(y_pred)}

    fit(side, compiled(Own(), metrics=["mae"]), validation_data=VALIDATION, record="batches")


@case
def own_metrics_property(side: Side) -> None:
    """Keras resets what `metrics` lists at the start of each epoch, and nothing else."""

    class Own(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.tracked = keras.metrics.Mean(name="tracked")
            self.kept = keras.metrics.Sum(name="kept")

        @property
        def metrics(self):
            return [self.tracked]

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                error = ops.mean(ops.square(y - self(x, training=True)))
            self.optimizer.apply(tape.gradient(error, self.trainable_weights), self.trainable_weights)
            self.tracked.update_state(error)
            self.kept.update_state(1.0)
            return {"tracked": self.tracked.result(), "kept": self.kept.result()}

    history = fit(side, compiled(Own()), record="batches")
    assert history.history["kept"] == [3.0, 6.0]


@case
def own_reset_metrics(side: Side) -> None:
    class Own(Plain):
        resets = 0

        def reset_metrics(self):
            self.resets += 1
            super().reset_metrics()

    model = compiled(Own(), metrics=["mae"])
    fit(side, model, validation_data=VALIDATION)
    side.note("resets", model.resets)


@case
def a_step_with_keras_helpers(side: Side) -> None:
    """`compute_loss`, `compute_metrics` and `sample_weight`, as Keras's guide writes a step."""

    class Guided(Plain):
        def train_step(self, data):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {m.name: m.result() for m in self.metrics}

    weights = np.linspace(0.1, 2.0, 10).astype("float32")
    fit(side, compiled(Guided(), metrics=["mae"]), sample_weight=weights, record="batches")


@case
def an_own_optimizer_class(side: Side) -> None:
    class SignDescent(keras.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * ops.sign(gradient))

    fit(side, compiled(Plain(), optimizer=SignDescent(0.05)))


@case
def an_own_train_step_with_a_python_effect(side: Side) -> None:
    """A step's Python runs when it is traced, and the number of traces is the loop's own affair."""

    class Own(Plain):
        def train_step(self, data):
            if not hasattr(self, "scale"):
                self.scale = keras.Variable(0.5, trainable=False, name="scale")
            x, y = data
            return super().train_step((x * self.scale, y))

    model = Own()
    model.scale = keras.Variable(0.5, trainable=False, name="scale")
    fit(side, compiled(model), numbers(10, 3, seed=8))
