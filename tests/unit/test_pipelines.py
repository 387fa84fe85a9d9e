"""Which Datasets give the same batches whatever is done while they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from trainkit.backend.compat import pipelines

Made = Callable[[Path], tf.data.Dataset]


def rows() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(tf.random.stateless_uniform([12, 3], [1, 2]))


def mapped(function: Callable[[Any], Any]) -> Made:
    return lambda _: rows().batch(2).map(function)


@tf.function
def called(x: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) > 3, lambda: x, lambda: -x)


@pytest.mark.parametrize(
    "made",
    [
        lambda _: rows().batch(2),
        lambda _: rows().shuffle(12, seed=1).batch(2).prefetch(1),
        lambda _: rows().batch(2).repeat().take(9).skip(1),
        lambda _: tf.data.Dataset.range(9).map(lambda i: 2 * i, num_parallel_calls=2).batch(2),
        mapped(called),
    ],
    ids=["batches", "shuffled", "repeated", "parallel", "function"],
)
def test_pure_stages_depend_on_nothing(made: Made, tmp_path: Path) -> None:
    assert pipelines.depends_on_nothing(made(tmp_path))


def variable(_: Path) -> tf.data.Dataset:
    scale = tf.Variable(2.0)
    return rows().batch(2).map(lambda x: x * scale)


def captured(_: Path) -> tf.data.Dataset:
    scale = tf.Variable(2.0)
    inner = rows().batch(2).map(lambda x: x * scale)
    return tf.data.Dataset.range(2).flat_map(lambda _: inner)


def table(_: Path) -> tf.data.Dataset:
    known = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)
    return tf.data.Dataset.range(9).map(known.lookup)


def opaque(_: Path) -> tf.data.Dataset:
    given = rows()
    return tf.data.experimental.from_variant(tf.data.experimental.to_variant(given), given.element_spec)


def counted(_: Path) -> tf.data.Dataset:
    draws = tf.random.Generator.from_seed(1)
    return rows().map(lambda x: x * draws.uniform([]))


@pytest.mark.parametrize(
    "made",
    [
        variable,
        captured,
        table,
        opaque,
        counted,
        mapped(lambda x: x * tf.random.uniform([])),
        mapped(lambda x: x + tf.cast(tf.timestamp(), tf.float32)),
        mapped(lambda x: tf.py_function(lambda one: one, [x], tf.float32)),
        mapped(lambda x: tf.cond(x[0, 0] > 0, lambda: x * tf.random.normal([]), lambda: x)),
        lambda folder: tf.data.Dataset.from_tensors(str(folder / "a")).map(tf.io.read_file),
        lambda folder: tf.data.TextLineDataset(str(folder / "a")),
        lambda folder: rows().cache(str(folder / "cache")),
        lambda _: rows().filter(lambda x: x[0] > 0),
        lambda _: rows().shuffle(12, seed=1).repeat(3).batch(2),
        lambda _: tf.data.Dataset.zip((rows(), tf.data.Dataset.random(1, rerandomize_each_iteration=True))),
        lambda _: tf.data.Dataset.from_generator(lambda: iter([1]), tf.int32),
    ],
)
def test_others_may_depend_on_what_is_done(made: Made, tmp_path: Path) -> None:
    assert not pipelines.depends_on_nothing(made(tmp_path))
