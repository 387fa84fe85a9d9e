"""Where rows come from: arrays, Datasets, PyDatasets, generators; for training and for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf
from keras import layers
from keras.callbacks import LambdaCallback

from tests.conformance.parts import BATCH, VALIDATION, X, Y, compiled, dense, fit, numbers
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("sources")


def dataset(*arrays: np.ndarray) -> tf.data.Dataset:
    """The rows in batches of four, the last ragged; of known size."""
    return tf.data.Dataset.from_tensor_slices(arrays or (X, Y)).batch(BATCH)


def of_unknown_size(*arrays: np.ndarray) -> tf.data.Dataset:
    return dataset(*arrays).filter(lambda *batch: True)


def batches(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The rows in batches of four, once."""
    arrays = arrays or (X, Y)
    for start in range(0, len(arrays[0]), BATCH):
        yield tuple(array[start : start + BATCH] for array in arrays)


def endless(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    while True:
        yield from batches(*arrays)


class Rows(keras.utils.PyDataset):
    """The rows in batches of four; notes when Keras calls it, if asked to."""

    def __init__(
        self, arrays: tuple[np.ndarray, ...] = (X, Y), side: Side | None = None, **given: Any
    ) -> None:
        super().__init__(**given)
        self.arrays = arrays
        self.side = side

    def __len__(self) -> int:
        return -(-len(self.arrays[0]) // BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        part = slice(index * BATCH, index * BATCH + BATCH)
        return tuple(array[part] for array in self.arrays)

    def on_epoch_begin(self) -> None:
        if self.side:
            self.side.note("PyDataset.on_epoch_begin", None)

    def on_epoch_end(self) -> None:
        if self.side:
            self.side.note("PyDataset.on_epoch_end", None)


ARRAYS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "doubles": lambda: (X.astype("float64"), Y.astype("float64")),
    "halves": lambda: (X.astype("float16"), Y),
    "integers": lambda: ((10 * X).astype("int64"), (10 * Y).astype("int32")),
    "bytes": lambda: (np.abs(50 * X).astype("uint8"), Y),
    "truth_values": lambda: (X > 0, Y),
    "tensors": lambda: (tf.constant(X), tf.constant(Y)),
    "a_tensor_and_an_array": lambda: (tf.constant(X), Y),
    "views": lambda: (np.asfortranarray(X)[::-1], Y[::-1]),
    "sparse_rows_of_scipy": lambda: (scipy.sparse.csr_matrix(np.maximum(X, 0.0)), Y),
    "a_sparse_tensor": lambda: (tf.sparse.from_dense(np.maximum(X, 0.0)), Y),
}


def trains_on(build: Callable[[], tuple[Any, Any]], side: Side) -> None:
    x, y = build()
    fit(side, dense(), x, y)


for kind, build in ARRAYS.items():
    case.add(kind, partial(trains_on, build))


@case
def a_ragged_tensor(side: Side) -> None:
    """Rows of unequal length, which a pooling of the model's own takes."""

    class Mean(layers.Layer):
        def call(self, x):
            return tf.reduce_mean(x, axis=1)

    inputs = keras.Input((None, 3), ragged=True)
    x = tf.RaggedTensor.from_row_lengths(numbers(20, 3), [1, 3, 2, 2, 4, 1, 1, 2, 3, 1])
    fit(side, compiled(keras.Model(inputs, layers.Dense(2)(Mean()(inputs)))), x, Y)


def from_dataset(side: Side, data: Any, **given: Any) -> None:
    record = given.pop("record", "batches")
    fit(side, dense(metrics=["mae"]), data, None, **({"batch_size": None, "record": record} | given))


DATASETS: dict[str, Callable[[], Any]] = {
    "a_dataset": dataset,
    "a_dataset_of_unknown_size": of_unknown_size,
    "a_dataset_without_the_rest": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(
        4, drop_remainder=True
    ),
    "a_dataset_of_uneven_batches": lambda: dataset(X[:3], Y[:3]).concatenate(dataset(X[3:], Y[3:])),
    "a_cached_and_prefetched_dataset": lambda: dataset().cache().prefetch(2),
    "a_mapped_dataset": lambda: dataset().map(lambda x, y: (x + 1.0, y), num_parallel_calls=2),
    "a_py_dataset": Rows,
    "a_py_dataset_with_workers": lambda: Rows(workers=2),
}


def trains_on_dataset(build: Callable[[], Any], counted: bool, side: Side) -> None:
    from_dataset(side, build(), counted=counted)


for kind, build in DATASETS.items():
    case.add(kind, partial(trains_on_dataset, build, kind != "a_dataset_of_unknown_size"))


@case
def a_dataset_without_callbacks(side: Side) -> None:
    given: dict[str, Any] = {"epochs": 3, "record": None, "counted": False}
    from_dataset(side, of_unknown_size(), validation_data=dataset(), **given)


@case
def an_infinite_dataset(side: Side) -> None:
    """An epoch goes on where the former ended: 5 steps over batches of 4, 4 and 2 rows."""
    from_dataset(side, dataset().repeat(), steps_per_epoch=5)


@case
def a_dataset_shuffled_anew(side: Side) -> None:
    """A shuffle with a seed: the order depends on how often Keras makes an iterator."""
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(10, seed=3).batch(4)
    from_dataset(side, data, epochs=3)


@case
def a_dataset_shuffled_once(side: Side) -> None:
    data = (
        tf.data.Dataset.from_tensor_slices((X, Y))
        .shuffle(10, seed=3, reshuffle_each_iteration=False)
        .batch(4)
    )
    from_dataset(side, data, epochs=3)


@case
def a_dataset_that_gives_dicts(side: Side) -> None:
    """A lone dict is the input; the model adds its loss itself."""

    class Adds(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(2)

        def call(self, batch):
            outputs = self.head(batch["x"])
            self.add_loss(keras.ops.mean(keras.ops.square(batch["target"] - outputs)))
            return outputs

    data = tf.data.Dataset.from_tensor_slices({"x": X, "target": Y}).batch(4)
    fit(side, compiled(Adds(), None), data, None, batch_size=None)


@case
def a_py_dataset_told_of_epochs(side: Side) -> None:
    """`on_epoch_end` is called once before the training, too."""
    from_dataset(side, Rows(side=side), validation_data=Rows((X[:5], Y[:5])))


@case
def a_py_dataset_without_end(side: Side) -> None:
    class Endless(Rows):
        num_batches = None

        def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
            return super().__getitem__(index % 3)

    from_dataset(side, Endless(), steps_per_epoch=5)


@case
def a_py_dataset_that_changes_its_rows(side: Side) -> None:
    """What `on_epoch_end` changes counts from the next epoch on."""

    class Moving(Rows):
        epoch = 0

        def on_epoch_end(self) -> None:
            self.epoch += 1
            self.arrays = (X * self.epoch, Y)

    from_dataset(side, Moving(), epochs=3)


@case
def a_generator(side: Side) -> None:
    """It has one epoch to give."""
    from_dataset(side, batches(), epochs=1, counted=False)


@case
def a_generator_in_its_second_epoch(side: Side) -> None:
    """Of a generator that has ended, Keras gives the first two batches again: it had peeked at them."""
    rows: list[int] = []
    shown = LambdaCallback(on_train_batch_end=lambda batch, logs: rows.append(batch))
    from_dataset(side, batches(), epochs=3, callbacks=[shown], counted=False)
    assert rows == [0, 1, 2, 0, 1, 0, 1]


@case
def a_generator_in_steps(side: Side) -> None:
    from_dataset(side, endless(), steps_per_epoch=4)


@case
def a_generator_with_weights(side: Side) -> None:
    weights = np.linspace(0.0, 2.0, 10).astype("float32")
    from_dataset(side, endless(X, Y, weights), steps_per_epoch=3)


@case
def a_generator_that_ends_early(side: Side) -> None:
    """Seven batches for two epochs of five steps: the second epoch has two."""

    def seven() -> Iterator[Any]:
        rows = endless()
        for _ in range(7):
            yield next(rows)

    from_dataset(side, seven(), steps_per_epoch=5, counted=False)


VALIDATIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "arrays": lambda: {"validation_data": VALIDATION},
    "weighted_arrays": lambda: {"validation_data": (*VALIDATION, np.arange(5.0, dtype="float32"))},
    "a_list": lambda: {"validation_data": list(VALIDATION)},
    "tensors": lambda: {"validation_data": tuple(map(tf.constant, VALIDATION))},
    "a_dataset": lambda: {"validation_data": dataset(*VALIDATION)},
    "a_dataset_of_unknown_size": lambda: {"validation_data": of_unknown_size(*VALIDATION)},
    "an_infinite_dataset": lambda: {"validation_data": dataset(*VALIDATION).repeat(), "validation_steps": 3},
    "a_py_dataset": lambda: {"validation_data": Rows(VALIDATION)},
    "a_generator": lambda: {"validation_data": endless(*VALIDATION), "validation_steps": 2},
}


def validates_on(build: Callable[[], dict[str, Any]], side: Side) -> None:
    fit(side, dense(metrics=["mae"]), **build(), record="batches")


for kind, build in VALIDATIONS.items():
    case.add(f"validation_of_{kind}", partial(validates_on, build))


@case
def a_dataset_validated_on_arrays(side: Side) -> None:
    from_dataset(side, dataset(), validation_data=VALIDATION)


@case
def a_generator_validated_on_a_py_dataset(side: Side) -> None:
    from_dataset(side, endless(), steps_per_epoch=3, validation_data=Rows(VALIDATION))


@case
def a_split(side: Side) -> None:
    """The last rows validate."""
    fit(side, dense(), validation_split=0.3, record="batches")


@case
def a_split_of_tensors(side: Side) -> None:
    fit(side, dense(), tf.constant(X), tf.constant(Y), validation_split=0.25)


@case
def a_split_beside_validation_data(side: Side) -> None:
    """Data that are given come before the split, which then takes no rows away."""
    fit(side, dense(), validation_split=0.3, validation_data=VALIDATION, record="batches")
