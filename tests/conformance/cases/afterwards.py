"""What a training leaves behind besides weights: the user's objects, random numbers, a model that works."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.conformance.parts import LABELS, VALIDATION, X, Y, classifier, compiled, dense, fit, sgd
from tests.conformance.recorder import EpochRecorder
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("afterwards")


@case
def random_numbers_of_the_user(side: Side) -> None:
    """A training in the rows' own order draws none of the user's: what is drawn later is the same."""
    fit(side, dense(layers.Dropout(0.3)), validation_data=VALIDATION)
    side.note("python", random.random())
    side.note("numpy", np.random.default_rng(np.random.get_state()[1][:4]).random())
    side.note("numpy's state", np.random.get_state()[1])
    side.note("keras", keras.random.uniform((2,)))
    side.note("a layer built later", layers.Dense(2).build((None, 3)))
    later = layers.Dense(2)
    later.build((None, 3))
    side.note("weights of a layer built later", later.get_weights())


@case
def random_numbers_of_tensorflow(side: Side) -> None:
    fit(side, dense(layers.Dropout(0.3)))
    side.note("tensorflow", tf.random.uniform((2,)))


@case
def seeds_of_layers(side: Side) -> None:
    """Each generator stands where its draws have brought it."""
    model = dense(layers.Dropout(0.3), layers.GaussianNoise(0.1, seed=4))
    fit(side, model, epochs=3)
    seeds = [layer.seed_generator.state for layer in model.layers if hasattr(layer, "seed_generator")]
    side.note("seeds", seeds)
    assert [int(np.array(seed)[1]) for seed in seeds] == [9, 9]


@case
def the_models_objects(side: Side) -> None:
    """The optimizer, the layers and the settings are those that the user gave."""
    optimizer = sgd()
    model = dense(layers.Dropout(0.3), optimizer=optimizer, metrics=["mae"])
    before = {"layers": list(model.layers), "loss": model.loss, "rate": model.layers[1].rate}
    settings = model.run_eagerly, model.jit_compile, model.steps_per_execution
    fit(side, model, validation_data=VALIDATION)
    assert model.optimizer is optimizer
    assert list(model.layers) == before["layers"]
    assert (model.loss, model.layers[1].rate) == (before["loss"], before["rate"])
    assert (model.run_eagerly, model.jit_compile, model.steps_per_execution) == settings
    for name in ("train_step", "test_step", "compute_loss", "compute_metrics", "call", "fit"):
        assert name not in vars(model), f"{name} was left on the model"
    for name in ("apply", "apply_gradients", "update_step", "scale_loss", "iterations"):
        assert name not in vars(optimizer), f"{name} was left on the optimizer"
    side.note("trainable", [layer.trainable for layer in model.layers])
    side.note("config", repr(model.get_config()))
    side.note("optimizer's config", repr(optimizer.get_config()))


@case
def keras_classes(side: Side) -> None:
    """No method of Keras's own classes is another one than before."""
    kinds = keras.Model, keras.layers.Dropout, keras.layers.BatchNormalization, keras.optimizers.SGD
    before = [{name: id(value) for name, value in vars(kind).items()} for kind in kinds]
    fit(side, dense(layers.Dropout(0.3), layers.BatchNormalization()))
    after = [{name: id(value) for name, value in vars(kind).items()} for kind in kinds]
    for one, other in zip(before, after, strict=True):
        changed = {name for name in one if one[name] != other.get(name) and not name.startswith("_abc")}
        assert not changed, f"{changed} changed"


@case
def a_model_that_evaluates_and_predicts(side: Side) -> None:
    model = classifier(metrics=["accuracy"])
    fit(side, model, X, LABELS, validation_data=(X[:5], LABELS[:5]))
    side.note("evaluated", model.evaluate(X, LABELS, verbose=0, batch_size=3, return_dict=True))
    side.note("predicted", model.predict(X, verbose=0, batch_size=3))
    side.note("metrics' names", model.metrics_names)


@case
def metrics_of_the_last_epoch(side: Side) -> None:
    """`get_metrics_result` shows the last validation."""
    model = dense(metrics=["mae"])
    fit(side, model, validation_data=VALIDATION)
    side.note("metrics", {k: float(v) for k, v in model.get_metrics_result().items()})


@case
def metrics_of_the_last_epoch_without_validation(side: Side) -> None:
    model = dense(metrics=["mae"])
    history = fit(side, model)
    result = {k: float(v) for k, v in model.get_metrics_result().items()}
    side.note("metrics", result)
    assert result["mae"] == history.history["mae"][-1]


@case
def a_model_that_is_saved_and_loaded(side: Side) -> None:
    """With its optimizer: the loaded one trains on as this one would."""
    model = dense(layers.BatchNormalization(), optimizer="adam", metrics=["mae"])
    fit(side, model, validation_data=VALIDATION)
    model.save(side.folder / "model.keras")
    model.save_weights(side.folder / "model.weights.h5")
    side.note_files(side.folder)
    loaded = keras.saving.load_model(side.folder / "model.keras")
    fit(side, loaded)
    fit(side, model)


@case
def a_model_that_is_cloned(side: Side) -> None:
    model = dense(layers.Dropout(0.3))
    fit(side, model)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.compile(type(model.optimizer).from_config(model.optimizer.get_config()), "mse")
    fit(side, clone)


@case
def layers_used_in_another_model(side: Side) -> None:
    """Features of a trained model, read by a model over the same layers."""
    model = dense()
    fit(side, model)
    features = keras.Model(model.inputs, model.layers[0].output)
    side.note("features", features.predict(X, verbose=0))


@case
def the_users_arrays(side: Side) -> None:
    """They are read, not written."""
    x, y, weights = X.copy(), Y.copy(), np.ones(10, "float32")
    fit(side, dense(), x, y, sample_weight=weights)
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)
    assert np.all(weights == 1)


@case
def each_row_once_in_any_order(side: Side) -> None:
    """Shuffled, the batches hold other rows, but each row is seen once an epoch."""

    class Seen(keras.metrics.Metric):
        """Sums powers of the rows' numbers, which are exact in any order."""

        def __init__(self) -> None:
            super().__init__(name="seen")
            self.sums = self.add_variable((3,), "zeros", name="sums")

        def update_state(self, y, outputs, sample_weight=None):
            self.sums.assign(self.sums + keras.ops.sum(y, axis=0))

        def result(self):
            return {f"power_{i}": self.sums[i] for i in range(3)}

    rows = np.arange(10.0)
    powers = np.stack([rows**0, rows, rows**2], axis=1).astype("float32")
    model = compiled(keras.Sequential([keras.Input((3,)), layers.Dense(3)]), metrics=[Seen()])
    for shuffle in (True, "batch"):
        history = side.train(model, X, powers, batch_size=4, epochs=3, verbose=0, shuffle=shuffle)
        for i in range(3):
            side.note(f"{shuffle} {i}", history.history[f"power_{i}"])
            assert history.history[f"power_{i}"] == [float(powers[:, i].sum())] * 3


@case
def a_training_with_every_argument(side: Side) -> None:
    """All arguments of `fit` by name, each at another value than its default."""
    given: dict[str, Any] = {
        "x": X,
        "y": Y,
        "batch_size": 3,
        "epochs": 5,
        "verbose": 0,
        "callbacks": [EpochRecorder(side.note)],
        "validation_split": 0.2,
        "validation_data": None,
        "shuffle": False,
        "class_weight": None,
        "sample_weight": np.linspace(0.5, 1.5, 10).astype("float32"),
        "initial_epoch": 1,
        "steps_per_epoch": 2,
        "validation_steps": 1,
        "validation_batch_size": 2,
        "validation_freq": 2,
    }
    model = dense(metrics=["mae"])
    side.note_training(model, side.train(model, **given))
