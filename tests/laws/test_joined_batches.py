"""Batches that are read several at a time train as batches that are read one by one."""

from __future__ import annotations

import itertools
import time
import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from tests.support.small_batches import Data, Seen, X, Y, alike, generated, served, sliced, trained, untuned
from trainkit.backend.compat import pipelines
from trainkit.trainer import given_rows, joined_batches
from trainkit.trainer.batch_feed import BatchFeed, DirectFeed
from trainkit.trainer.window_reader import WindowReader

SCALE: Any = None  # a variable, made by a test

pytestmark = pytest.mark.filterwarnings("ignore:.*ran out of data", "ignore:.*shuffle=True")


@pytest.fixture(autouse=True, scope="module")
def scale_of_rows() -> None:
    global SCALE
    SCALE = tf.Variable(1.0)


@pytest.fixture(autouse=True)
def joined_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of four batches from the first one on, and of three in an execution."""
    monkeypatch.setattr(given_rows, "SHORT_STEPS", 0)
    monkeypatch.setattr(joined_batches, "MAX_STEPS", 4)
    monkeypatch.setattr(joined_batches, "FEW", 2)
    monkeypatch.setattr(joined_batches, "MANY", 0)
    monkeypatch.setattr(joined_batches, "READ_SECONDS", 60.0)
    monkeypatch.setattr(joined_batches, "PART_SECONDS", 60.0)
    monkeypatch.setattr(joined_batches, "PART_BYTES", 3 * 2 * (3 + 1) * 4)


@pytest.fixture
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the batches that a reader hands on."""
    counts: list[int] = []
    take = WindowReader.take

    def noted(self: WindowReader) -> Any:
        found = take(self)
        counts.append(found[1])
        return found

    monkeypatch.setattr(WindowReader, "take", noted)
    return counts


class Rows(keras.utils.PyDataset):
    def __init__(self) -> None:
        super().__init__()

    def __len__(self) -> int:
        return 16

    def __getitem__(self, number: int) -> Any:
        return X[3 * number : 3 * number + 3], Y[3 * number : 3 * number + 3]


@pytest.mark.in_parts(2)
@pytest.mark.parametrize(("executed", "hooks"), [(1, False), (3, True), (7, False)])
@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (lambda: sliced().batch(2), {}),
        (lambda: sliced().filter(lambda x, y: True).batch(3), {}),
        (lambda: sliced().batch(2), {"steps_per_epoch": 10}),
        (lambda: sliced().batch(4).repeat(), {"steps_per_epoch": 9}),
        (lambda: sliced().batch(4), {"steps_per_epoch": 20}),
        (generated, {}),
        (Rows, {}),
        (lambda: served([2] * 23), {"steps_per_epoch": 7}),
    ],
    ids=["ragged", "unknown", "cut", "repeated", "too short", "many sizes", "PyDataset", "generator"],
)
def test_rows_are_read_as_in_keras(data: Data, settings: dict[str, Any], executed: int, hooks: bool) -> None:
    wanted, calls = trained(keras.Model.fit, data, executed, hooks, **settings)
    found, called = trained(tk.fit, data, executed, hooks, **settings)
    assert called == calls
    alike(found, wanted)


@pytest.mark.in_parts(2)
@pytest.mark.parametrize(("executed", "hooks"), [(1, False), (1, True), (4, True)])
@pytest.mark.parametrize("fails", [0, 1, 6])
def test_what_comes_before_a_batch_that_fails_is_trained(fails: int, executed: int, hooks: bool) -> None:
    wanted, calls = trained(keras.Model.fit, lambda: generated(fails), executed, hooks, fails=True)
    found, called = trained(tk.fit, lambda: generated(fails), executed, hooks, fails=True)
    assert called == calls
    assert len(wanted) == 4
    alike(found, wanted)


def unprefetched(rows: tf.data.Dataset) -> tf.data.Dataset:
    """Rows that TensorFlow itself does not read ahead."""
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return rows.with_options(options)


def scaled() -> tf.data.Dataset:
    return unprefetched(sliced().batch(2).map(lambda x, y: (x * SCALE, y)))


def end_epoch(callback: Seen) -> None:
    raise StopIteration


def stop(callback: Seen) -> None:
    callback.model.stop_training = True


def scale(callback: Seen) -> None:
    SCALE.assign(3.0)


@pytest.mark.in_parts(4)
@pytest.mark.parametrize(("does", "at"), [(end_epoch, 15), (stop, 23), (scale, 7)])
@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (lambda: sliced().batch(2), {}),
        (lambda: sliced().filter(lambda x, y: True).batch(2), {}),
        (lambda: sliced().batch(2).repeat(), {"steps_per_epoch": 20}),
        (scaled, {}),
        (lambda: sliced().batch(2).shuffle(9, seed=1).repeat(3), {"steps_per_epoch": 30}),
        (lambda: unprefetched(tf.data.Dataset.range(2).flat_map(lambda _: scaled())), {}),
        (generated, {}),
    ],
    ids=["known", "unknown", "cut", "variable", "shuffled on", "captured", "generator"],
)
def test_what_callbacks_do_between_executions_counts(
    data: Data, settings: dict[str, Any], at: int, does: Any
) -> None:
    SCALE.assign(1.0)
    wanted, calls = trained(keras.Model.fit, data, 8, True, at=at, does=does, **settings)
    SCALE.assign(1.0)
    found, called = trained(tk.fit, data, 8, True, at=at, does=does, **settings)
    assert called == calls
    alike(found, wanted)


def windows_of_an_execution(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """First step and end of each window of the first eight steps, which are one execution."""
    windows = []
    read = DirectFeed._found

    def noted(self: DirectFeed, step: int) -> Any:
        window = read(self, step)
        windows.extend([] if window is None else [(window.offset, window.stop)])
        return window

    monkeypatch.setattr(DirectFeed, "_found", noted)
    trained(tk.fit, lambda: sliced().batch(2), 8, True)
    ends = [end for _, end in windows]
    return list(dict.fromkeys(windows[: ends.index(8) + 1]))


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each look at the clock, a tenth of a second has passed."""
    now = itertools.count(step=0.1)
    monkeypatch.setattr(joined_batches, "time", types.SimpleNamespace(monotonic=lambda: next(now)))


def test_a_large_execution_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert windows_of_an_execution(monkeypatch) == [(0, 3), (3, 6), (6, 8)]


def test_a_small_execution_is_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined_batches, "PART_BYTES", 8 * 2 * (3 + 1) * 4)
    assert windows_of_an_execution(monkeypatch) == [(0, 8)]


@pytest.mark.usefixtures("ticking")
def test_an_execution_that_comes_slowly_is_trained_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined_batches, "PART_BYTES", 8 * 2 * (3 + 1) * 4)
    monkeypatch.setattr(joined_batches, "PART_SECONDS", 0.25)
    assert windows_of_an_execution(monkeypatch)[-1] in [(6, 8), (7, 8)]


def test_a_callback_that_opens_the_rows_gets_the_same_order_as_in_keras() -> None:
    def orders(fit: Any) -> list[Any]:
        rows = sliced().shuffle(47, seed=1).batch(2)
        opened: list[Any] = []

        def look(callback: Seen) -> None:
            opened.append(next(iter(rows))[0].numpy())

        for at in (7, 23):  # in the middle, and after the last execution
            trained(fit, lambda: rows, 8, True, at=at, does=look)
        return opened

    np.testing.assert_array_equal(orders(tk.fit), orders(keras.Model.fit))


def test_batches_are_read_in_one_call(read_at_once: list[int]) -> None:
    trained(tk.fit, lambda: sliced().batch(2), 1, hooks=False)
    assert read_at_once.count(4) >= 2 * 4
    read_at_once.clear()
    trained(tk.fit, lambda: sliced().batch(2), 3, hooks=True)
    assert read_at_once.count(3) >= 2 * 6


@pytest.mark.usefixtures("ticking")
def test_batches_that_come_slowly_are_trained_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined_batches, "READ_SECONDS", 0.25)
    monkeypatch.setattr(joined_batches, "MAX_STEPS", 16)
    windows = []
    read = BatchFeed.window

    def noted(self: BatchFeed, epoch: int, start: int) -> Any:
        window = read(self, epoch, start)
        windows.extend([] if window is None else [window.stop - start])
        return window

    monkeypatch.setattr(BatchFeed, "window", noted)
    wanted, _ = trained(keras.Model.fit, generated, 1, hooks=False)
    found, _ = trained(tk.fit, generated, 1, hooks=False)
    assert max(windows) < 6
    alike(found, wanted)


def test_a_reader_stops_where_rows_come_slowly(
    monkeypatch: pytest.MonkeyPatch, read_at_once: list[int]
) -> None:
    def slow(x: Any, y: Any) -> Any:
        return tf.py_function(lambda *one: time.sleep(0.02) or one, (x, y), (tf.float32, tf.float32))

    def data() -> tf.data.Dataset:
        rows = sliced().batch(2, drop_remainder=True)
        late = rows.map(slow).map(lambda x, y: (tf.ensure_shape(x, [2, 3]), tf.ensure_shape(y, [2, 1])))
        return rows.concatenate(late)

    monkeypatch.setattr(joined_batches, "READ_SECONDS", 0.05)
    monkeypatch.setattr(joined_batches, "MAX_STEPS", 16)
    trained(tk.fit, data, 1, hooks=False)
    assert 0 < min(count for count in read_at_once if count) < 5


def test_functions_that_run_eagerly_read_the_same(read_at_once: list[int]) -> None:
    wanted, _ = trained(tk.fit, generated, 1, hooks=False)
    tf.config.run_functions_eagerly(True)
    try:
        found, _ = trained(tk.fit, generated, 1, hooks=False)
    finally:
        tf.config.run_functions_eagerly(False)
    assert read_at_once
    alike(found, wanted)


@pytest.mark.parametrize("of_a_strategy", [False, True], ids=["deterministic", "of a strategy"])
def test_what_a_reader_cannot_read_is_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch, read_at_once: list[int], of_a_strategy: bool
) -> None:
    def data() -> Any:
        given = untuned(sliced().batch(2))
        strategy = tf.distribute.OneDeviceStrategy("CPU:0")
        return strategy.experimental_distribute_dataset(given) if of_a_strategy else given

    if not of_a_strategy:
        monkeypatch.setattr(pipelines.config, "is_op_determinism_enabled", lambda: True)
    wanted, _ = trained(keras.Model.fit, lambda: untuned(sliced().batch(2)), 1, hooks=False)
    found, _ = trained(tk.fit, data, 1, hooks=False)
    assert not read_at_once
    alike(found, wanted)


def test_batches_of_many_widths_are_read_one_by_one(read_at_once: list[int]) -> None:
    def wide() -> Iterator[Any]:
        for number in range(20):
            width = 3 + number % 2 if number > 8 else 3
            yield np.ones((2, width, 1), np.float32), np.ones((2, 1), np.float32)

    def data() -> tf.data.Dataset:
        spec = (tf.TensorSpec([2, None, 1], tf.float32), tf.TensorSpec([2, 1], tf.float32))
        return untuned(tf.data.Dataset.from_generator(wide, output_signature=spec))

    pooled = [keras.Input((None, 1)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    model = keras.Sequential(pooled)
    model.compile("sgd", "mse")
    tk.fit(model, data(), verbose=0)
    assert read_at_once == [4, 1]
