"""Each split may be arrays, a Dataset, a PyDataset or a generator; the same rows train the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from tests.support.training import fit, fit_again
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer import Trainer

SIZE = 16


class Batches(keras.utils.PyDataset):
    """Rows in batches of 16; counts the epochs that ended."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.arrays = arrays
        self.ended = 0

    def __len__(self) -> int:
        return -(-len(self.arrays) // SIZE)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.arrays.take(slice(index * SIZE, index * SIZE + SIZE)).batch()

    def on_epoch_end(self) -> None:
        self.ended += 1


def single(arrays: Arrays) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(arrays.batch())


def generated(arrays: Arrays) -> Iterator[tuple[Any, ...]]:
    batches = Batches(arrays)
    for index in range(len(batches)):
        yield batches[index]


KINDS: dict[str, Callable[[Arrays], Any]] = {
    "rows": single,
    "batches": lambda arrays: single(arrays).batch(SIZE),
    "other_batches": lambda arrays: single(arrays).batch(10),
    "unknown_size": lambda arrays: single(arrays).batch(SIZE).filter(lambda *batch: True),
    "rows_of_unknown_size": lambda arrays: single(arrays).filter(lambda *row: True),
    "py_dataset": Batches,
}


@dataclass(frozen=True)
class Given(Toy):
    """The toy's rows, each split as `kinds` says."""

    kinds: dict[str, Callable[[Arrays], Any]] = field(default_factory=dict)
    weights: Any = None

    def data(self) -> Splits:
        splits = super().data()
        made = {name: make(getattr(splits, name)) for name, make in self.kinds.items()}
        return replace(splits, **made)

    def class_weight(self) -> Any:
        return self.weights


def weights_of(task: Given, **settings: Any) -> list[np.ndarray]:
    trainer, _ = fit(task, **({"epochs": 2} | settings))
    return trainer.model.get_weights()


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def of_one_kind(kind: Any) -> Given:
    return Given(kinds=dict.fromkeys(("train", "validation", "test"), kind))


def assert_trains_alike(task: Given, usual: Trainer, history: dict[str, list[float]]) -> None:
    """With the same weights, and the same values of each split."""
    trainer, found = fit(task, epochs=2)
    assert_same(trainer.model.get_weights(), usual.model.get_weights())
    assert found == history
    assert trainer.evaluate() == usual.evaluate()


@pytest.mark.slow
def test_rows_of_each_kind_train_and_are_measured_as_a_dataset_of_rows() -> None:
    usual, history = fit(Given(kinds={"train": single}), epochs=2)
    for name in KINDS.keys() - {"rows"}:
        assert_trains_alike(of_one_kind(KINDS[name]), usual, history)


@pytest.mark.slow
def test_a_generator_is_read_into_memory_and_shuffled_like_arrays() -> None:
    usual, history = fit(Given(), epochs=2)
    kinds = {"train": generated, "validation": KINDS["unknown_size"], "test": generated}
    assert_trains_alike(Given(kinds=kinds), usual, history)


@pytest.mark.slow
def test_a_py_dataset_is_told_of_the_end_of_each_epoch() -> None:
    made: list[Batches] = []

    def note(arrays: Arrays) -> Batches:
        made.append(Batches(arrays))
        return made[-1]

    weights_of(Given(kinds={"train": note}), epochs=3)
    assert made[0].ended >= 3


@pytest.mark.slow
def test_class_weights_of_a_dataset_are_those_of_its_rows() -> None:
    weights = {0: 0.5, 2: 3.0}

    def weighted(arrays: Arrays) -> tf.data.Dataset:
        table = np.array([0.5, 1.0, 3.0], np.float32)
        return single(Arrays(arrays.x, arrays.y, table[arrays.y]))

    by_class = weights_of(Given(kinds={"train": KINDS["batches"]}, weights=weights))
    assert_same(by_class, weights_of(Given(kinds={"train": weighted})))


@pytest.mark.slow
def test_75_rows_in_batches_of_16_train_under_every_execution() -> None:
    task = Given(kinds={"train": KINDS["batches"]})
    usual = weights_of(task, engine="keras")
    for execution in ("epoch", "epoch_xla", "step", "step_xla", "auto"):
        for one, other in zip(weights_of(task, execution=execution), usual, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=execution)


def test_a_dataset_that_drops_the_remainder_is_one_of_batches() -> None:
    """Its batches have a known size, like the first axis of a row."""
    whole = Given(kinds={"train": lambda arrays: single(arrays.take(slice(0, 64)))})
    dropped = Given(
        kinds={
            name: lambda arrays: single(arrays).batch(SIZE, drop_remainder=True) for name in ("train", "test")
        }
    )
    trainer, _ = fit(dropped, epochs=2)
    assert_same(trainer.model.get_weights(), weights_of(whole))
    assert len(trainer.splits.test) == SIZE


def shuffled(arrays: Arrays) -> tf.data.Dataset:
    return single(arrays).shuffle(75, seed=3).batch(SIZE)


@pytest.mark.slow
def test_a_dataset_that_is_shuffled_anew_resumes_in_its_order(tmp_path: Path) -> None:
    """In the middle of an epoch, and after the second."""
    task = Given(kinds={"train": shuffled})
    usual, first = fit(task, epochs=4)
    assert "shuffled anew in each epoch" in usual.setup.source.reason
    weights = usual.model.get_weights()
    assert usual.fit(task).history == first, "a second fit begins with the first order"
    part, begun = fit(task, epochs=4, steps=7)
    assert begun["loss"][0] == first["loss"][0]
    part.save_checkpoint(tmp_path / "7")
    part.config.steps = 10
    assert fit_again(part, task)["loss"] == first["loss"][:2]
    part.save_checkpoint(tmp_path / "10")
    resumed, _ = fit(task, epochs=4, resume=tmp_path / "7")
    assert_same(resumed.model.get_weights(), weights)
    fit_again(resumed, task, resume=tmp_path / "10")
    assert_same(resumed.model.get_weights(), weights)


def test_the_rest_of_an_epoch_in_an_unknown_order_is_refused() -> None:
    task = Given(kinds={"train": lambda arrays: single(arrays).shuffle(75)})
    source = replace(Trainer(batch_size=SIZE).prepare(task).source, shuffled="unseeded")
    with pytest.raises(UserError, match="the rest of epoch 2 is not known"):
        source.resume(1, 3, 75)
    with pytest.warns(UserWarning, match="another order"):
        source.resume(1, 0, 75)


@dataclass(frozen=True)
class Drawn(Toy):
    """Training rows in an order that a generator of random numbers outside of the dataset draws."""

    def data(self) -> Splits:
        splits = super().data()
        x, y = splits.train.batch()
        random = np.random.default_rng(1)
        signature = (tf.TensorSpec((6,), tf.float32), tf.TensorSpec((), tf.int64))
        rows = tf.data.Dataset.from_generator(
            lambda: ((x[i], y[i]) for i in random.permutation(len(x))), output_signature=signature
        )
        return replace(splits, train=rows)


def test_rows_of_python_code_are_said_to_be_of_unknown_state(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    trainer = Trainer(epochs=1, steps=2, batch_size=SIZE, execution="step", run_dir=tmp_path / "run")
    trainer.fit(Drawn())
    whole, _ = fit(Drawn(), execution="step", epochs=1)
    rest, _ = fit(Drawn(), execution="step", epochs=1, resume=tmp_path / "run")
    assert not recwarn.list, "its first epoch begins as it did"
    for a, b in zip(whole.model.get_weights(), rest.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    rest.save_checkpoint(tmp_path / "epoch")
    with pytest.warns(UserWarning, match="made by Python code, whose state is not in the checkpoint"):
        fit(Drawn(), execution="step", epochs=2, resume=tmp_path / "epoch")


class Growing(Batches):
    """Its rows are others after each epoch."""

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        x, y = super().__getitem__(index)
        return x * (1.0 + self.ended), y


def test_a_py_dataset_is_told_of_each_epochs_end_in_either_engine() -> None:
    losses = []
    for engine in ("trainkit", "keras"):
        task = Given(n=4 * SIZE, kinds={"train": Growing})
        losses.append(fit(task, epochs=2, execution="step", engine=engine)[1]["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_rows_without_end_train_as_many_steps_as_asked() -> None:
    endless = Given(kinds={"train": lambda arrays: single(arrays).repeat().batch(SIZE)})
    trainer, _ = fit(endless, epochs=2, limit_train_batches=3)
    assert trainer.state.step == 6


def unknown(arrays: Arrays) -> tf.data.Dataset:
    types = [tf.float32, tf.int64]
    return single(arrays).batch(SIZE).map(lambda x, y: tf.numpy_function(lambda *row: row, [x, y], types))


NEVER: list[tuple[str, Callable[[Arrays], Any], str]] = [
    ("train", lambda arrays: single(arrays).repeat(), "limit_train_batches"),
    ("train", unknown, "set_shape"),
    ("train", lambda arrays: single(arrays).take(0), "There are no training rows: the Dataset is empty"),
    (
        "train",
        lambda arrays: single(arrays).batch(SIZE).take(0),
        "There are no training rows: the Dataset is empty",
    ),
    ("validation", lambda arrays: single(arrays).repeat(), "take"),
    ("test", lambda arrays: [1, 2], "expected Arrays"),
]


@pytest.mark.parametrize(("name", "make", "words"), NEVER)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, make: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        Trainer(epochs=1, batch_size=SIZE).fit(Given(kinds={name: make}))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            lambda arrays: single(arrays).batch(10),
            "is batched by 10, and trains in batches of .*=16, cut anew",
        ),
        (lambda arrays: single(arrays).batch(SIZE).shuffle(9), "shuffles its batches of 16, of which one is"),
        (lambda arrays: single(arrays).shuffle(9).batch(SIZE).prefetch(1), None),
        (lambda arrays: single(arrays).batch(SIZE, drop_remainder=True).shuffle(9), None),
        (lambda arrays: single(arrays).batch(10).unbatch(), None),
    ],
    ids=["other", "shuffled", "same", "even", "unbatched"],
)
def test_batches_that_are_cut_anew_are_told(
    kind: Any, said: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    Trainer(batch_size=SIZE).prepare(Given(kinds={"train": kind}))
    told = [str(one.message) for one in recwarn if "Dataset of training rows" in str(one.message)]
    assert len(told) == (said is not None)
    assert said is None or re.search(said, told[0])
