"""Models by their layers: what has state, random numbers, masks, convolutions or sparse gradients."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.conformance.parts import (
    LABELS,
    VALIDATION,
    X,
    Y,
    classifier,
    compiled,
    dense,
    fit,
    labels,
    numbers,
)
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("architectures")


@case
def sequential(side: Side) -> None:
    fit(side, dense(metrics=["mae"]), validation_data=VALIDATION, record="batches")


@case
def sequential_without_callbacks(side: Side) -> None:
    fit(side, dense(metrics=["mae"]), validation_data=VALIDATION, epochs=3, record=None)


@case
def sequential_without_an_input(side: Side) -> None:
    fit(side, compiled(keras.Sequential([layers.Dense(4, activation="tanh"), layers.Dense(2)])))


@case
def functional_with_a_shared_layer(side: Side) -> None:
    inputs = keras.Input((3,))
    shared = layers.Dense(3, activation="tanh")
    outputs = layers.Dense(2)(layers.Add()([shared(inputs), shared(shared(inputs))]))
    fit(side, compiled(keras.Model(inputs, outputs)), validation_data=VALIDATION)


@case
def models_in_a_model(side: Side) -> None:
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dropout(0.5)])
    inputs = keras.Input((3,))
    outputs = layers.Dense(2)(layers.BatchNormalization()(inner(inputs)))
    fit(side, compiled(keras.Model(inputs, outputs)), validation_data=VALIDATION)


@case
def a_frozen_layer(side: Side) -> None:
    model = dense()
    model.layers[0].trainable = False
    fit(side, compiled(model))


@case
def frozen_after_compile(side: Side) -> None:
    """`compile` documents no effect until it is called again; yet the trace reads the flag."""
    model = dense()
    before = np.array(model.layers[0].kernel)
    model.layers[0].trainable = False
    fit(side, model)
    assert np.array_equal(before, np.array(model.layers[0].kernel))


@case
def nothing_to_train(side: Side) -> None:
    model = dense(metrics=["mae"])
    model.trainable = False
    fit(side, model, validation_data=VALIDATION)


@case
def batch_normalization(side: Side) -> None:
    fit(side, dense(layers.BatchNormalization(momentum=0.5)), validation_data=VALIDATION, record="batches")


@case
def frozen_batch_normalization(side: Side) -> None:
    """A frozen one runs in inference mode: neither its weights nor its statistics move."""
    fit(side, dense(layers.BatchNormalization(trainable=False)), validation_data=VALIDATION)


@case
def other_normalizations(side: Side) -> None:
    kinds = layers.LayerNormalization(), layers.GroupNormalization(2), layers.UnitNormalization()
    fit(side, dense(*kinds))


@case
def spectral_normalization(side: Side) -> None:
    """Its power iteration updates a vector that is no trainable weight."""
    fit(side, dense(layers.SpectralNormalization(layers.Dense(4))), validation_data=VALIDATION)


@case
def adapted_normalization(side: Side) -> None:
    scale = layers.Normalization()
    scale.adapt(X)
    model = keras.Sequential([keras.Input((3,)), scale, layers.Rescaling(0.5), layers.Dense(2)])
    fit(side, compiled(model))


@case
def dropout(side: Side) -> None:
    fit(side, dense(layers.Dropout(0.4)), validation_data=VALIDATION, record="batches")


@case
def dropout_with_a_seed(side: Side) -> None:
    fit(side, dense(layers.Dropout(0.4, seed=3), layers.GaussianNoise(0.2, seed=4)))


@case
def several_random_layers(side: Side) -> None:
    noise = (
        layers.GaussianDropout(0.3),
        layers.AlphaDropout(0.3),
        layers.Dropout(0.2),
        layers.GaussianNoise(0.1),
    )
    fit(side, dense(*noise), validation_data=VALIDATION)


class Noise(layers.Layer):
    """Draws from a generator of its own, also in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(5)

    def call(self, x):
        return x + 0.1 * keras.random.normal(ops.shape(x), seed=self.generator)


@case
def an_own_seed_generator(side: Side) -> None:
    """It draws in validation too: its state counts the batches of both."""
    fit(side, dense(Noise()), validation_data=VALIDATION, record="batches")


class Counter(layers.Layer):
    """Counts its calls in training, in a weight and in a variable that Keras does not list."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = tf.Variable(0.0, trainable=False)

    def build(self, shape) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.calls.assign(self.calls + 1)
            self.hidden.assign_add(1.0)
        return x * (1.0 + 0.01 * self.calls + 0.001 * self.hidden)


@case
def variables_that_count_calls(side: Side) -> None:
    """Building an unbuilt layer inside a trace must not count."""
    counter = Counter()
    fit(side, dense(counter), validation_data=VALIDATION)
    side.note("hidden", counter.hidden)
    assert float(counter.hidden) == 6


class Trained(layers.Layer):
    """With a `tf.Variable` that is not Keras's own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable([1.0, 2.0, 3.0, 4.0])

    def call(self, x):
        return x * self.scale


@case
def a_tf_variable_is_not_trained(side: Side) -> None:
    """Keras lists no `tf.Variable`, and so leaves it as it is."""
    layer = Trained()
    fit(side, dense(layer))
    side.note("scale", layer.scale)
    assert list(layer.scale.numpy()) == [1, 2, 3, 4]


@case
def regularizers_and_constraints(side: Side) -> None:
    l2 = keras.regularizers.L2(0.01)
    kernel = layers.Dense(4, kernel_regularizer=l2, activity_regularizer="l1", kernel_constraint="non_neg")
    fit(side, dense(kernel, layers.ActivityRegularization(l2=0.01)), validation_data=VALIDATION)


@case
def u_net(side: Side) -> None:
    inputs = keras.Input((8, 8, 1))
    down = layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    middle = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.MaxPooling2D()(down))
    up = layers.Conv2DTranspose(3, 2, strides=2)(middle)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(layers.Concatenate()([down, up]))
    model = compiled(keras.Model(inputs, outputs), "binary_crossentropy", metrics=["accuracy"])
    fit(side, model, numbers(10, 8, 8, 1), labels(10, 8, 8, 1, classes=2).astype("float32"))


@case
def random_augmentation(side: Side) -> None:
    steps = layers.RandomFlip(), layers.RandomTranslation(0.2, 0.2), layers.Flatten(), layers.Dense(2)
    model = compiled(keras.Sequential([keras.Input((4, 4, 1)), *steps]))
    x = numbers(10, 4, 4, 1)
    fit(side, model, x, Y, validation_data=(x[:5], Y[:5]))


@case
def unknown_image_sizes(side: Side) -> None:
    inputs = keras.Input((None, None, 1))
    pooled = layers.GlobalMaxPooling2D()(layers.Conv2D(3, 2)(inputs))
    model = compiled(keras.Model(inputs, layers.Dense(2)(pooled)))
    sizes = [(4, 5), (3, 4), (5, 3)]

    def batches():
        for i, size in enumerate(sizes):
            yield numbers(2, *size, 1, seed=i), numbers(2, 2, seed=i)

    signature = tf.TensorSpec((None, None, None, 1)), tf.TensorSpec((None, 2))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    fit(side, model, data, None, batch_size=None, counted=False)


@case
def layers_with_metrics_and_losses(side: Side) -> None:
    """A layer's own metric is logged under its name, and reset with the rest."""

    class Watched(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.size = keras.metrics.Mean(name="size")

        def call(self, x):
            self.size.update_state(ops.abs(x))
            self.add_loss(0.01 * ops.mean(ops.square(x)))
            return x

    history = fit(side, dense(Watched(), metrics=["mae"]), validation_data=VALIDATION, record="batches")
    assert "size" in history.history
    assert "val_size" in history.history


@case
def a_classifier(side: Side) -> None:
    model = classifier(metrics=["accuracy"])
    fit(side, model, X, LABELS, validation_data=(X[:5], LABELS[:5]), record="batches")


@case
def a_model_that_was_saved_and_loaded(side: Side) -> None:
    """It goes on with its optimizer's moments and its place in the schedule."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    first = dense(layers.Dropout(0.3), optimizer=keras.optimizers.Adam(schedule), metrics=["mae"])
    first.fit(X, Y, batch_size=4, verbose=0, shuffle=False)
    first.save(side.folder / "model.keras")
    fit(side, keras.saving.load_model(side.folder / "model.keras"))


@case
def a_cloned_model(side: Side) -> None:
    fit(side, compiled(keras.models.clone_model(dense(layers.Dropout(0.3)))))
