"""XLA trains of its own accord only where no index and no label can be out of range."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.support.toys import Toy
from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays, Splits
from trainkit.engine.inputs import row_spec
from trainkit.trainer.execution import Situation, xla_by_rule
from trainkit.trainer.index_checks import index_check
from trainkit.trainer.model_checks import examine

X = np.arange(20, dtype="int32").reshape(10, 2) % 5


def asked(
    model: keras.Model, x: Any, y: Any, order: Any = None, loss: Any = None, metrics: Any = None
) -> str:
    """Why not, of rows that may be taken in another order."""
    if has_gpu():
        pytest.skip("on a GPU TensorFlow does not raise either")
    metrics = [one for one in metrics or [] if one is not None]
    model.compile("adam", loss or "sparse_categorical_crossentropy", metrics=metrics)
    arrays = Arrays(x, y) if order is None else Arrays(x, y).select(order)
    task = Toy()
    setup: Any = SimpleNamespace(
        task=task,
        model=model,
        splits=Splits(arrays),
        source=SimpleNamespace(arrays=arrays, spec=row_spec(arrays), batch_spec=None),
        facts=examine(task, model, row_spec(arrays), None),
    )
    return index_check(setup)[0]


def words(*more: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(5, 3), *more])


def flat() -> keras.Model:
    return words(layers.Flatten(), layers.Dense(3, "softmax"))


def test_indexes_and_labels_in_range_are_for_xla() -> None:
    assert asked(flat(), X, np.arange(10) % 3) == ""


@pytest.mark.parametrize("wrong", [-6, 5])
def test_an_index_outside_of_its_table_is_not(wrong: int) -> None:
    x = X.copy()
    x[7, 1] = wrong
    assert "outside of its table" in asked(flat(), x, np.arange(10) % 3)


def twice(shift: int) -> keras.Model:
    given = keras.Input((2,), dtype="int32")
    table = layers.Embedding(5, 3)
    both = layers.Flatten()(table(given) + table(given + shift))
    return keras.Model(given, layers.Dense(3, "softmax")(both))


def nested(shift: int) -> keras.Model:
    given = keras.Input((2,), dtype="int32")
    return keras.Model(given, layers.Dense(3, "softmax")(layers.Flatten()(words()(given + shift))))


class Positions(layers.Layer):
    """A table inside of a layer, and one of positions beside it."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.words, self.places, self.shift = layers.Embedding(5, 3), layers.Embedding(2, 3), shift

    def call(self, x: Any) -> Any:
        return self.words(x + self.shift) + self.places(keras.ops.arange(2))


class Taken(layers.Layer):
    """A table of its own, whose rows TensorFlow gathers."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(5, 3))

    def call(self, x: Any) -> Any:
        return tf.gather(tf.convert_to_tensor(self.table), x + self.shift)


def inside(layer: layers.Layer) -> keras.Model:
    given = keras.Input((2,), dtype="int32")
    return keras.Model(given, layers.Dense(3, "softmax")(layers.Flatten()(layer(given))))


@pytest.mark.parametrize(
    "make", [twice, nested, lambda shift: inside(Positions(shift)), lambda shift: inside(Taken(shift))]
)
def test_tables_are_found_wherever_they_are(make: Any) -> None:
    assert asked(make(0), X, np.arange(10) % 3) == ""
    assert asked(make(5), X, np.arange(10) % 3) == "an index is outside of its table"


class Nearest(layers.Layer):
    """The row of a table that is nearest: by its weights, which change."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(5, 2))

    def call(self, x: Any) -> Any:
        near = keras.ops.cast(x @ keras.ops.transpose(self.table), "float32")
        return tf.gather(tf.convert_to_tensor(self.table), tf.argmax(near, -1))


def plain(function: Any, width: int = 2) -> keras.Model:
    given = keras.Input((width,))
    return keras.Model(given, layers.Dense(3, "softmax")(layers.Lambda(function)(given)))


@pytest.mark.parametrize(
    ("function", "fine", "wrong", "told"),
    [
        (
            lambda x: tf.cast(tf.cast(x * 100, "uint8"), "float32"),
            2.5,
            2.6,
            "a number is outside of its type",
        ),
        (lambda x: tf.cast(6 // tf.cast(x, "int32"), "float32"), 1, 0, "a whole number is divided by zero"),
        (lambda x: tf.math.unsorted_segment_sum(x, tf.cast(x[:, 0], "int32"), 9), 8, 9, "of its table"),
        (lambda x: tf.gather_nd(tf.eye(5), tf.cast(x, "int32")[:, :1]), 4, 5, "outside of its table"),
    ],
)
def test_what_tensorflow_alone_checks_is_looked_at(
    function: Any, fine: float, wrong: float, told: str
) -> None:
    x = np.ones((10, 2), "float32")
    x[4] = fine
    assert asked(plain(function), x, np.arange(10) % 3) == ""
    x[4] = wrong
    assert told in asked(plain(function), x, np.arange(10) % 3)


def test_shapes_that_are_divided_are_no_matter() -> None:
    def halves(x: Any) -> Any:
        return tf.reshape(x * 2, [tf.shape(x)[0], 2, tf.shape(x * 2)[1] // 2])[:, 0]

    assert asked(plain(halves, 8), np.ones((10, 8), "float32"), np.arange(10) % 3) == ""


@pytest.mark.parametrize("place", ["loss", "model"])
def test_a_sparse_loss_is_found_by_what_it_computes(place: str) -> None:
    def loss(y: Any, logits: Any) -> Any:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y, "int32"), logits)

    class Own(keras.Model):
        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *others: Any) -> Any:
            return tf.reduce_mean(loss(y, y_pred))

    given = keras.Input((2,))
    made = (Own if place == "model" else keras.Model)(given, layers.Dense(3)(given))
    x, labels = np.ones((10, 2), "float32"), np.arange(10) % 3
    assert asked(made, x, labels, loss="mse" if place == "model" else loss) == ""
    labels[3] = 7
    assert "outside of the classes" in asked(made, x, labels, loss="mse" if place == "model" else loss)


def test_what_a_loss_takes_by_outputs_is_not_known_before() -> None:
    def of_the_best(y: Any, p: Any) -> Any:
        return tf.gather(p, tf.argmax(p, -1), axis=1, batch_dims=1)

    assert "TensorFlow alone" in asked(flat(), X, np.arange(10) % 3, loss=of_the_best)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    "function", [lambda x: tf.math.top_k(x, 2)[0], lambda x: tf.linalg.inv(tf.linalg.diag(x))[:, 0]]
)
def test_what_xla_computes_otherwise_is_never_its(function: Any, inside: bool) -> None:
    model = plain(tf.function(function) if inside else function)
    model.compile("adam", "mse")
    spec = row_spec(Arrays(np.ones((4, 2), "float32"), np.ones((4, 3), "float32")))
    facts = examine(Toy(), model, spec, None)
    situation = Situation("auto", False, 1, 10**9, 32, "", facts.operations)
    assert xla_by_rule(situation, model)[1].startswith("XLA computes")


def test_an_index_that_depends_on_weights_is_known_in_no_step_before_its_own() -> None:
    model = keras.Sequential([keras.Input((2,)), Nearest(), layers.Dense(3, "softmax")])
    assert (
        asked(model, X.astype("float32"), np.arange(10) % 3)
        == "whether all indexes are in range is known to TensorFlow alone"
    )


@pytest.mark.parametrize(("last", "told"), [(2, ""), (3, "an index is outside of its table")])
def test_a_loss_that_takes_values_by_their_labels_is_looked_at(last: int, told: str) -> None:
    def of_true_class(y_true: Any, y_pred: Any) -> Any:
        return -tf.gather(y_pred, tf.cast(y_true, "int32"), axis=1, batch_dims=1)

    labels = np.arange(10) % 3
    labels[9] = last
    assert asked(flat(), X, labels, loss=of_true_class) == told


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("shape", [(10,), (10, 1), (10, 2)])
def test_nor_is_a_label_outside_of_the_classes(dtype: str, shape: tuple[int, ...]) -> None:
    """One a row, or one a time step."""
    model = words(layers.Dense(3, "softmax")) if shape == (10, 2) else flat()
    labels = (np.arange(np.prod(shape)) % 3).reshape(shape).astype(dtype)
    assert asked(model, X, labels) == ""
    labels.reshape(-1)[-1] = 3
    assert "outside of the classes" in asked(model, X, labels)


def test_rows_in_a_file_are_looked_at_some_at_a_time(tmp_path: Any) -> None:
    np.save(tmp_path / "y.npy", np.arange(10) % 3)
    kept = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert asked(flat(), X, kept, order=np.arange(10)[::-1]) == ""


@pytest.mark.parametrize(
    "of_batch",
    [
        lambda x: tf.reduce_sum(tf.cast(x > 0, "int32")),
        lambda x: tf.reduce_max(x, 0, keepdims=True),
        lambda x: tf.cumsum(x),
        lambda x: x[:1],
        lambda x: x[0],
        lambda x: x[::-1],
        lambda x: tf.reverse(x, [0]),
        lambda x: tf.reduce_sum(x @ tf.transpose(x), 1, keepdims=True),
    ],
)
def test_what_depends_on_which_rows_are_in_a_batch_is_not_known_before(of_batch: Any) -> None:
    """Of many rows together it may be in range, and of those of a batch not."""

    def divided(x: Any) -> Any:
        return tf.cast(100 // (tf.cast(of_batch(x), "int32") + tf.cast(0 * x, "int32")), "float32")

    model = plain(divided)
    assert "TensorFlow alone" in asked(model, np.ones((10, 2), "float32"), np.arange(10) % 3)


@pytest.mark.parametrize(
    "of_row", [lambda x: x[..., 0], lambda x: x[:, 0], lambda x: tf.reduce_sum(tf.reshape(x, [-1, 2]), 1)]
)
def test_what_depends_on_one_row_is_known_before(of_row: Any) -> None:
    def one_of(x: Any) -> Any:
        return tf.gather(tf.ones([5, 2]), tf.cast(of_row(x), "int32"))

    assert asked(plain(one_of), np.ones((10, 2), "float32"), np.arange(10) % 3) == ""


class MeanTaken(keras.metrics.Mean):
    """Of values by their labels."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(taken(y_true, y_pred))


def taken(y_true: Any, y_pred: Any) -> Any:
    return tf.gather(tf.constant([1.0, 2.0]), tf.cast(y_true, "int32"))


@pytest.mark.parametrize("metric", [taken, MeanTaken, None])
def test_own_metrics_are_looked_at(metric: Any) -> None:
    model = flat()
    metric = metric() if isinstance(metric, type) else metric
    labels = np.arange(10) % 3
    assert asked(model, X, labels % 2, metrics=[metric]) == ""
    told = asked(model, X, labels, metrics=[metric])
    assert told == ("" if metric is None else "an index is outside of its table")
