"""What `trainkit.fit` trains once layers were frozen; the conformance cases `freezing` compare with Keras."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from trainkit.trainer.first_trace import FirstTrace

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def model() -> keras.Model:
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_what_keras_has_compiled_is_not_trained_otherwise() -> None:
    """Nobody can see which layers `model.fit` goes on with, once some were frozen."""
    frozen = model()
    frozen.fit(X, X[:, :1], verbose=0)
    frozen.layers[0].trainable = False
    with pytest.raises(tk.UserError, match=r"call model.compile\(...\) again"):
        tk.fit(frozen, X, X[:, :1], verbose=0)
    frozen.compile("sgd", "mse")
    before = np.array(frozen.layers[0].kernel)
    tk.fit(frozen, X, X[:, :1], verbose=0)
    assert np.array_equal(before, np.array(frozen.layers[0].kernel))


def test_what_a_model_trains_is_forgotten_with_it() -> None:
    first, kept = model(), model()
    tk.fit(first, X, X[:, :1], verbose=0)
    tk.fit(kept, X, X[:, :1], verbose=0)
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


class Power(keras.losses.Loss):
    """The error to a power, and once more."""

    power = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.again = 1.0

    def call(self, y: Any, outputs: Any) -> Any:
        return self.again * keras.ops.mean(keras.ops.abs(y - outputs) ** self.power, -1)


def loss_after(change: Callable[[keras.Model], None], fit: Callable[..., Any]) -> list[float]:
    """Of a second training, longer than the first, before which something of the model was set."""
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "tanh"), keras.layers.Dense(1)])
    made.compile("sgd", Power())
    fit(made, X, X[:, :1], batch_size=4, epochs=1, shuffle=False, verbose=0)
    change(made)
    history = fit(
        made, X, X[:, :1], batch_size=4, epochs=3, shuffle=False, verbose=0, validation_data=(X, X[:, :1])
    ).history
    return [*history["loss"], *history["val_loss"]]


@cache
def loss_unchanged() -> list[float]:
    return loss_after(lambda made: None, keras.Model.fit)


@pytest.mark.parametrize(
    ("change", "evaluates_anew"),
    [
        (lambda made: setattr(made.layers[0], "activation", keras.activations.relu), True),
        (lambda made: setattr(made.layers[0].kernel, "constraint", keras.constraints.NonNeg()), False),
        (lambda made: setattr(made.loss, "again", 3.0), True),
        (lambda made: setattr(made.loss, "power", 1.0), True),
    ],
    ids=["activation", "constraint", "loss", "value of a class"],
)
def test_what_is_set_between_trainings_counts_as_in_keras(
    change: Callable[[keras.Model], None], evaluates_anew: bool
) -> None:
    """Not for the steps, which Keras has compiled; for the first validation, which it has not."""
    got, wanted = (loss_after(change, fit) for fit in (tk.fit, keras.Model.fit))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    unchanged = loss_unchanged()
    np.testing.assert_allclose(got[:3], unchanged[:3], rtol=1e-5)
    assert np.allclose(got[3:], unchanged[3:], rtol=1e-5) != evaluates_anew


def test_a_value_of_a_class_may_become_a_property() -> None:
    class Base(keras.layers.Layer):
        rate = 0.5

        def call(self, x: Any) -> Any:
            return x

    class Read(Base):
        @property
        def rate(self) -> float:  # type: ignore[override]
            raise RuntimeError("not known yet")

    made = keras.Sequential([keras.Input((3,)), Read(), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    for epochs in (1, 3):
        tk.fit(made, X, X[:, :1], epochs=epochs, verbose=0)


def test_a_function_or_regularizer_that_holds_its_model_does_not_keep_it() -> None:
    class Own(keras.regularizers.Regularizer):
        def __call__(self, x: Any) -> Any:
            return keras.ops.sum(x) * 0.0

    gone = []
    for _ in range(2):
        made = model()
        made.layers[0].kernel_regularizer = Own()
        made.layers[0].kernel_regularizer.model = made
        made.layers[1].noted = lambda x, of=made: x
        tk.fit(made, X, X[:, :1], verbose=0)
        gone.append(weakref.ref(made))
    del made
    tk.fit(model(), X, X[:, :1], verbose=0)
    gc.collect()
    assert [one() for one in gone] == [None, None]


def test_what_takes_the_train_function_away_is_traced_anew() -> None:
    """`quantize` replaces the weights that the programs train."""

    def losses(fit: Callable[..., Any]) -> list[float]:
        keras.utils.set_random_seed(0)
        made = model()
        settings: dict[str, Any] = {"shuffle": False, "verbose": 0, "validation_data": (X, X[:, :1])}
        fit(made, X, X[:, :1], epochs=3, **settings)
        with pytest.warns(UserWarning, match="InputLayer"):
            made.quantize("int8")
        history = fit(made, X, X[:, :1], epochs=3, **settings).history
        return [*history["loss"], *history["val_loss"]]

    np.testing.assert_allclose(losses(tk.fit), losses(keras.Model.fit), rtol=1e-5)


def test_a_train_function_made_anew_leaves_the_validation_as_it_was() -> None:
    class Force(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.model.layers[0].activation = keras.activations.relu
                self.model.make_train_function(force=True)

    def losses(fit: Callable[..., Any]) -> list[float]:
        keras.utils.set_random_seed(0)
        settings: dict[str, Any] = {"shuffle": False, "verbose": 0, "validation_data": (X, X[:, :1])}
        history = fit(model(), X, X[:, :1], epochs=3, callbacks=[Force()], **settings).history
        return [*history["loss"], *history["val_loss"]]

    np.testing.assert_allclose(losses(tk.fit), losses(keras.Model.fit), rtol=1e-5)


def test_weights_that_keras_would_go_on_without_are_refused() -> None:
    made = model()
    tk.fit(made, X, X[:, :1], verbose=0)
    made.layers[0].enable_lora(2)
    with pytest.raises(tk.UserError, match=r"more weights .* call model.compile\(...\) again"):
        tk.fit(made, X, X[:, :1], verbose=0)
    made.compile("sgd", "mse")
    tk.fit(made, X, X[:, :1], verbose=0)


class Scaled(keras.Model):
    """Trains by a loss that settings of the model scale."""

    shares = (1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.outputs_of = keras.layers.Dense(3)
        self.scale = 0.5
        self._hidden = 0.5
        self.rates = {"first": [0.5, np.float32(1)]}
        self.mask = np.ones(3, np.float32)
        self.tensor = tf.constant(0.5)

    def call(self, x: Any) -> Any:
        return self.outputs_of(x) * self.mask

    def train_step(self, x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self(x) - x) ** 2) * self.scale * self._hidden * self.tensor
            loss *= self.rates["first"][0] * self.shares[1]
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {"scaled": loss}


ROWS = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)


def set_all(made: Scaled) -> None:
    made.scale = 2.0
    made._hidden = 2.0
    made.rates["first"][0] = 2.0
    made.mask[0] = 0.0
    made.tensor = tf.constant(2.0)
    made.shares = (1.0, 2.0)


def losses_in_turn(fit: Callable[..., Any]) -> list[float]:
    """Of trainings in batches of several sizes, after the first of which settings of the model were set."""
    keras.utils.set_random_seed(0)
    made = Scaled()
    made(ROWS)
    made.compile("sgd")
    losses = []
    for size, epochs in ((6, 1), (6, 3), (4, 1), (5, 1), (6, 1)):
        losses += fit(made, ROWS, None, size, epochs, 0, shuffle=False).history["scaled"]
        if not losses[1:]:
            set_all(made)
            held = made.rates
    assert (made.rates, made._hidden, made.mask[0]) == (held, 2.0, 0.0)
    assert made.rates is held
    return losses


def test_values_count_from_the_trace_on_that_keras_makes_of_another_size_of_batches() -> None:
    """Of whatever kind: plain, private, in a container, in an array or of the class."""
    wanted = losses_in_turn(keras.Model.fit)
    np.testing.assert_allclose(losses_in_turn(tk.fit), wanted, rtol=1e-5)
    assert 10 * max(*wanted[:4], wanted[6]) < min(wanted[4:6])


def test_a_layer_that_was_frozen_stands_still_in_batches_of_another_size() -> None:
    def moves(fit: Callable[..., Any]) -> list[bool]:
        made = model()
        found = []
        for size in (3, 3, 2, 4, 3):
            before = made.layers[0].get_weights()[0]
            fit(made, X, X[:, :1], batch_size=size, verbose=0)
            found.append(not np.array_equal(before, made.layers[0].get_weights()[0]))
            made.layers[0].trainable = False
        return found

    assert moves(tk.fit) == moves(keras.Model.fit) == [True, True, False, False, True]


def test_a_trace_is_chosen_as_tensorflow_chooses_it() -> None:
    seen: list[tuple[int | None, ...]] = []

    @tf.function(reduce_retracing=True)
    def step(batches: Any) -> None:
        seen.append(tuple(tf.nest.flatten(batches.element_spec)[0].shape))

    first = FirstTrace(model())
    lengths = [(6, 3), (4, 3), (5, 3), (None, 3), (6, 4), (None, 9), (6, 3), (2, 3)]
    for number, shape in enumerate(lengths):
        spec = {"a": tf.TensorSpec(shape), "b": tf.TensorSpec(shape[:1], tf.int64)}
        dataset = tf.data.Dataset.from_generator(lambda: [], output_signature=spec)
        step(dataset)
        trace = first.trace("train", spec)
        assert tuple(trace.batches.element_spec["a"].shape) in seen
        assert len(first._traces["train"]) == len(seen), number


def test_a_model_without_a_loss_may_be_compiled_again() -> None:
    class Adds(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(keras.ops.mean(x**2))
            return x

    inputs = keras.Input((3,))
    made = keras.Model(inputs, Adds()(keras.layers.Dense(1)(inputs)))
    for optimizer in ("sgd", keras.optimizers.SGD(0.0)):
        made.compile(optimizer)
        before = made.get_weights()[0]
        tk.fit(made, X, verbose=0)
    assert np.array_equal(before, made.get_weights()[0])
    made.optimizer = keras.optimizers.SGD(1.0)
    with pytest.raises(tk.UserError, match=r"model.optimizer was replaced after a training"):
        tk.fit(made, X, verbose=0)
