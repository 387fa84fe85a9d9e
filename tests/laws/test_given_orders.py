"""A Dataset that shuffles anew gives each epoch of a task the order of rows that it has in `model.fit`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from tests.support.toys import Toy
from tests.support.training import fit, fit_again
from trainkit.backend.compat import pipelines
from trainkit.checkpoint import store
from trainkit.checkpoint.members import read_meta
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer.generated_rows import unopened
from trainkit.trainer.resumed import check_resumed
from trainkit.trainer.trainer import Trainer

ROWS = 20
EPOCHS = 3


def shuffled(arrays: Arrays) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(arrays.batch()).shuffle(ROWS, seed=3)


def twice(arrays: Arrays) -> tf.data.Dataset:
    """Of two orders each epoch."""
    return shuffled(arrays).repeat(2)


FORMS: dict[str, Callable[[Arrays], tf.data.Dataset]] = {
    "rows": shuffled,
    "batches": lambda arrays: shuffled(arrays).batch(5),
    "of_unknown_number": lambda arrays: shuffled(arrays).batch(5).filter(lambda *batch: True),
    "repeated": twice,
    "shuffled_twice": lambda arrays: shuffled(arrays).shuffle(4, seed=5).batch(5),
    "joined": lambda arrays: (rows := shuffled(arrays)).concatenate(rows).batch(5),
}


@dataclass(frozen=True)
class Ordered(Toy):
    """The number of a row is its input and its label; the model says which it was trained on."""

    n: int = ROWS
    form: str = "rows"

    def data(self) -> Splits:
        numbers = np.arange(ROWS, dtype=np.float32)
        return Splits(FORMS[self.form](Arrays(numbers[:, None], numbers)))

    def model(self, train: Any) -> keras.Model:
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])

    def loss(self) -> Any:
        return "mse"

    def metrics(self) -> Any:
        return []

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(1e-3)


@cache
def trained(form: str, **settings: Any) -> list[np.ndarray]:
    settings = {"epochs": EPOCHS, "batch_size": 5, "execution": "step"} | settings
    return fit(Ordered(form=form), **settings)[0].model.get_weights()


def by_keras(form: str, rows: tf.data.Dataset | None = None) -> list[np.ndarray]:
    """The weights that `model.fit` gives; on `rows`, if they are given."""
    keras.utils.set_random_seed(0)
    task = Ordered(form=form)
    rows = task.data().train if rows is None else rows
    model = task.model(None)
    model.compile(task.optimizer(), task.loss())
    model.fit(rows if form not in ("rows", "repeated") else rows.batch(5), epochs=EPOCHS, verbose=0)
    return model.get_weights()


def assert_same(given: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=what)


@pytest.mark.parametrize("form", FORMS)
def test_each_epoch_has_the_order_of_model_fit(form: str) -> None:
    expected = by_keras(form)
    for engine in ("trainkit", "keras"):
        assert_same(trained(form, engine=engine), expected, engine)


def test_a_second_fit_begins_with_the_first_orders() -> None:
    task = Ordered(form="batches")
    trainer, first = fit(task, batch_size=5, execution="step")
    assert fit_again(trainer, task) == first


def test_a_fit_trains_what_was_prepared_and_the_next_one_the_same_rows() -> None:
    """Also of rows that were given in place of the task's own."""
    task = Ordered(form="batches")
    numbers = np.arange(ROWS // 2, dtype=np.float32)
    rows, for_keras = (FORMS["batches"](Arrays(numbers[:, None], numbers)) for _ in range(2))
    trainer = Trainer(epochs=EPOCHS, batch_size=5, execution="step")
    setup = trainer.prepare(task, data=Splits(rows))
    trainer.fit(task)
    assert (setup.state.epoch, setup.state.step) == (EPOCHS, 2 * EPOCHS)
    assert_same(trainer.model.get_weights(), by_keras("batches", for_keras), "given rows")
    with pytest.warns(UserWarning, match="its shuffle goes on"):
        trainer.fit(task)
    assert trainer.setup.source.rows == len(numbers)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["batches", "repeated", "shuffled_twice", "joined"])
def test_a_resumed_training_goes_on_in_that_order(form: str, tmp_path: Path) -> None:
    """In the middle of the second epoch, and at its end, to the bit."""
    expected = trained(form)
    per_epoch = 8 if form in ("repeated", "joined") else 4
    task = Ordered(form=form)
    part, resumed = (Trainer(epochs=EPOCHS, batch_size=5, execution="step") for _ in range(2))
    for steps in (per_epoch + 1, 2 * per_epoch):
        part.config.steps = steps
        part.fit(task)
        part.save_checkpoint(tmp_path / str(steps))
        resumed.fit(task, resume=tmp_path / str(steps))
        for a, b in zip(resumed.model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{steps} steps")
    assert_same(trained(form, resume=tmp_path / str(steps), engine="keras"), expected, "keras")


def test_rows_are_read_for_their_orders_where_opening_does_not_draw_them() -> None:
    rows = shuffled(Arrays(np.zeros([ROWS, 1], np.float32)))
    files = tf.data.Dataset.range(2)
    usual = rows.map(lambda x: x).batch(5).prefetch(2)
    assert pipelines.draws_when_opened(usual)
    assert pipelines.draws_when_opened(
        pipelines.set_apart(files).interleave(tf.data.Dataset.range).shuffle(4)
    )
    for read in (usual.repeat(2), rows.cache(), rows.shuffle(4), files.flat_map(lambda _: rows).shuffle(4)):
        assert not pipelines.draws_when_opened(read)


def test_a_checkpoint_in_an_epoch_of_other_orders_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A former version took other orders of a seeded shuffle, and did not say so in its checkpoints."""
    for steps in (5, 8):
        part, _ = fit(Ordered(form="batches"), batch_size=5, execution="step", steps=steps)
        part.save_checkpoint(tmp_path / str(steps))
    check_resumed(part.setup, tmp_path / "5")

    def without_mark(folder: Path) -> dict[str, Any]:
        return {key: value for key, value in read_meta(folder).items() if key != "orders"}

    monkeypatch.setattr(store, "read_meta", without_mark)
    check_resumed(part.setup, tmp_path / "8")
    with pytest.raises(
        UserError, match="of a former version, in the middle of epoch 2 of a shuffled Dataset"
    ):
        check_resumed(part.setup, tmp_path / "5")


def test_a_copy_to_be_looked_at_leaves_the_orders_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be made, the first order is used up, and a warning says so."""

    def fails(dataset: tf.data.Dataset) -> Any:
        raise ValueError("more than 2 GB")

    monkeypatch.setattr(pipelines, "set_apart", fails)
    with pytest.warns(UserWarning, match="the first order of its shuffle is used up"):
        list(unopened(shuffled(Arrays(np.zeros([ROWS, 1], np.float32)))))


def test_who_lets_an_iterator_go_does_not_wait_for_its_end() -> None:
    may_end, ended = threading.Event(), threading.Event()

    class Slow:
        def __del__(self) -> None:
            may_end.wait(30)
            ended.set()

    pipelines.let_go([Slow()])
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(30)


@pytest.mark.parametrize("exact", [None, False, True])
def test_the_iterator_of_an_epoch_is_let_go_by_another_thread(
    exact: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end may take as long as the epoch did; `None`: of a task."""
    owners: list[int] = []
    monkeypatch.setattr(pipelines, "let_go", lambda held: owners.append(sys.getrefcount(held[0])))
    if exact is None:
        fit(Ordered(), epochs=EPOCHS, batch_size=5)
    else:
        numbers = np.arange(ROWS, dtype=np.float32)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        rows = shuffled(Arrays(numbers[:, None], numbers)).batch(5)
        tk.fit(model, rows, epochs=EPOCHS, verbose=0, shuffle=False, exact=exact)
    assert len(owners) >= EPOCHS - 1
    assert set(owners) == {2}  # the list, and the argument here


def test_no_thread_is_started_where_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never run, and who starts one waits until it does."""

    def never(thread: threading.Thread) -> None:
        raise AssertionError("a thread was started")

    held = [object()]
    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", never)
        ending.setattr(sys, "is_finalizing", lambda: True)
        pipelines.let_go(held)
    assert not held
