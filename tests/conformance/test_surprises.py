"""What Keras does, though one would not think so, and `trainkit.fit` need not do. Keras alone is run here.

Where a surprise has to be the same in `trainkit.fit`, a case holds it; README.md lists both.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.callbacks import BackupAndRestore, CallbackList

from tests.conformance.parts import VALIDATION, X, Y, compiled, dense, numbers, sgd

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)


def test_the_losses_of_outputs_are_means_of_batches_and_not_of_rows() -> None:
    """With a ragged last batch they do not add up to the loss, which weighs each batch by its rows."""
    inputs = keras.Input((3,))
    model = compiled(
        keras.Model(inputs, [layers.Dense(1, name="b")(inputs), layers.Dense(1, name="a")(inputs)])
    )
    model.optimizer.learning_rate = 0.0
    y = [numbers(10, 1, seed=2), numbers(10, 1, seed=3)]
    history = model.fit(X, y, batch_size=4, shuffle=False, verbose=0).history
    parts = history["a_loss"][0] + history["b_loss"][0]
    whole = model.evaluate(X, y, batch_size=10, verbose=0, return_dict=True)["loss"]
    assert history["loss"][0] == pytest.approx(whole, rel=1e-5)
    assert parts != pytest.approx(whole, rel=1e-3)


def ending_unannounced(optimizer: keras.optimizers.Optimizer, static: bool, **given: Any) -> Any:
    """A model trained for an epoch of 2 or 3 batches on a Dataset of unknown size, and its history."""
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4, drop_remainder=static)
    model = dense(layers.Dropout(0.0), optimizer=optimizer, **given)
    return model, model.fit(data.filter(lambda x, y: True), verbose=0).history


def test_where_data_end_unannounced_half_a_step_more_is_taken() -> None:
    """The program that finds no next batch has by then run what needs none, the count of steps for one.

    So do seeds of dropout, decay of weights, and whatever else is the same for each batch. It is a race in
    TensorFlow's executor, though one with the same end each time. Steps of XLA and eager ones are whole.
    """
    model, _ = ending_unannounced(sgd(), static=False)
    assert int(model.optimizer.iterations) == 3 + 1
    for given in ({"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 2}):
        model, _ = ending_unannounced(sgd(), static=False, **given)
        assert int(model.optimizer.iterations) == 3


def test_where_data_of_one_batch_size_end_unannounced_the_loss_is_too_small() -> None:
    """The last count of rows is added without their loss: two thirds of it are logged here."""
    model, history = ending_unannounced(sgd(0.0), static=True)
    true = model.evaluate(X[:8], Y[:8], batch_size=4, verbose=0)
    assert history["loss"][0] == pytest.approx(true * 2 / 3, rel=1e-5)


def test_no_rows_are_trained_on_in_silence() -> None:
    assert dense().fit(X[:0], Y[:0], epochs=2, verbose=0).history == {}


def test_a_metric_that_returns_its_variable_logs_what_validation_left_in_it() -> None:
    """The epoch's logs are read after the validation, which has reset and filled the same variable."""

    class Rows(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="rows")
            self.count = self.add_variable((), "zeros", name="count")

        def update_state(self, y, outputs, sample_weight=None):
            self.count.assign(self.count + keras.ops.cast(keras.ops.shape(y)[0], "float32"))

        def result(self):
            return self.count.value

    validated = dense(metrics=[Rows()]).fit(X, Y, batch_size=4, verbose=0, validation_data=VALIDATION)
    assert validated.history["rows"] == [5.0]
    assert dense(metrics=[Rows()]).fit(X, Y, batch_size=4, verbose=0).history["rows"] == [10.0]


def test_a_model_that_was_given_rows_of_a_wrong_shape_trains_no_more() -> None:
    """Until it is compiled again: the refused trace counts as the one that may create variables."""
    model = dense()
    with pytest.raises(ValueError, match="incompatible"):
        model.fit(X[:, :2], Y, verbose=0)
    with pytest.raises(ValueError, match="Creating variables on a non-first call"):
        model.fit(X, Y, verbose=0)
    model.compile(sgd(), "mse")
    model.fit(X, Y, verbose=0)


def test_a_callback_list_without_a_history_fails_at_the_end_of_a_first_training() -> None:
    model = dense()
    with pytest.raises(AttributeError, match="history"):
        model.fit(X, Y, verbose=0, callbacks=CallbackList([], model=model))
    assert int(model.optimizer.iterations) == 1


def test_a_backup_of_a_model_that_is_not_built_is_refused(tmp_path: Path) -> None:
    model = compiled(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(ValueError, match="must be built"):
        model.fit(X, Y, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup")])


def test_labels_of_another_rank_in_a_second_training_fail() -> None:
    model = dense(outputs=1)
    model.fit(X, numbers(10, 1), verbose=0)
    with pytest.raises(ValueError, match="unknown rank"):
        model.fit(X, numbers(10), verbose=0)


def test_an_ordered_dict_swaps_inputs_of_equal_shape_in_silence() -> None:
    """A plain dict is read in alphabetical order, an ordered one in its own."""
    second, first = keras.Input((3,), name="second"), keras.Input((3,), name="first")
    outputs = layers.Dense(2)(layers.Concatenate()([second, first]))
    model = compiled(keras.Model({"second": second, "first": first}, outputs))
    data = {"second": X, "first": -X}
    plain = np.array(model(data))
    ordered = np.array(model(OrderedDict(data)))
    swapped = np.array(model({"second": -X, "first": X}))
    assert np.allclose(ordered, swapped)
    assert not np.allclose(ordered, plain)
