"""Laws of the ground floor, for structures, names, numbers and files that hypothesis makes up."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas
import pytest
import scipy.sparse
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.logs import base_name, column, is_validation, keras_name, logged_names, split_logs
from trainkit.core.monitor import DIRECTIONS, MonitorRule
from trainkit.core.tree import leaves, map_leaves, pack_leaves

Pair = namedtuple("Pair", ["first", "second"])

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=6)


def mappings(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Dicts whose keys are in any order."""
    items = st.lists(st.tuples(names, children), max_size=4, unique_by=lambda item: item[0])
    return items.flatmap(st.permutations).flatmap(
        lambda pairs: st.sampled_from([dict(pairs), OrderedDict(pairs)])
    )


structures = st.recursive(
    st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.tuples(inner, inner).map(lambda both: Pair(*both))
        | mappings(inner)
    ),
    max_leaves=12,
)


@given(structures)
def test_packing_the_leaves_of_a_structure_gives_the_structure(structure: Any) -> None:
    packed = pack_leaves(structure, leaves(structure))
    assert packed == structure
    assert type(packed) is type(structure)


@given(structures)
def test_leaves_come_in_the_order_of_tf_nest(structure: Any) -> None:
    """Whatever the order of a dict's keys; None is a leaf there and none here."""
    assert leaves(structure) == [leaf for leaf in tf.nest.flatten(structure) if leaf is not None]


@given(structures)
def test_mapping_a_structure_maps_its_leaves(structure: Any) -> None:
    assert leaves(map_leaves(str, structure)) == [str(leaf) for leaf in leaves(structure)]
    assert map_leaves(lambda leaf: leaf, structure) == structure


TABLE = np.arange(8, dtype=np.float32).reshape(4, 2)
AS_ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "frame": pandas.DataFrame,
    "nullable": lambda a: pandas.DataFrame(a).astype("Float64"),
    "tensor": tf.constant,
    "variable": tf.Variable,
    "list": lambda a: a.tolist(),
    "list of tuples": lambda a: [tuple(row) for row in a.tolist()],
    "nothing masked": np.ma.masked_array,
}
NO_ARRAYS: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "sparse": (scipy.sparse.csr_matrix, "toarray"),
    "sparse tensor": (tf.sparse.from_dense, "SparseTensor"),
    "masked": (lambda a: np.ma.masked_array(a, a > 3), "filled"),
    "texts and numbers": (lambda a: pandas.DataFrame({"n": a[:, 0], "city": "x"}), "city"),
    "missing": (lambda a: pandas.DataFrame({"n": [1, 2, None, 4], "t": ["a", None, "b", "c"]}), "missing"),
    "lists of many lengths": (lambda a: [[1.0] * (1 + i) for i in range(4)], "different lengths"),
    "tuple of lists": (lambda a: tuple(a.tolist()), "several inputs"),
    "text": (lambda a: "rows", "str"),
    "iterator": (iter, "iterator"),
    "symbolic": (lambda a: keras.Input((2,)), "symbolic"),
    "nothing": (lambda a: None, "None"),
}
INTO: dict[str, Callable[[Any], Any]] = {
    "alone": lambda a: a,
    "pair": lambda a: (a, TABLE),
    "dict": lambda a: {"b": a, "a": [TABLE, a]},
}


@pytest.mark.parametrize("kind", AS_ARRAYS)
@pytest.mark.parametrize("place", INTO)
def test_rows_of_each_kind_are_the_rows_of_an_array(kind: str, place: str) -> None:
    expected = Arrays(INTO[place](TABLE), TABLE[:, 0], TABLE[:, 1])
    make = AS_ARRAYS[kind]
    given = Arrays(
        INTO[place](make(TABLE)), make(TABLE)[:, 0] if kind == "tensor" else TABLE[:, 0], TABLE[:, 1]
    )
    assert all(type(leaf) is np.ndarray for leaf in leaves(given.batch()))
    tf.nest.assert_same_structure(given.batch(), expected.batch())
    for a, b in zip(leaves(given.batch()), leaves(expected.batch()), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", NO_ARRAYS)
@pytest.mark.parametrize("place", INTO)
def test_rows_that_are_no_array_are_refused_in_one_line(kind: str, place: str) -> None:
    make, words = NO_ARRAYS[kind]
    if kind == "nothing" and place != "alone":
        return  # an input that is left out
    with pytest.raises(UserError, match=words) as raised:
        Arrays(INTO[place](make(TABLE)), TABLE[:, 0])
    assert "\n" not in str(raised.value)


class Lazy:
    """Rows of a file, as other libraries open them: whoever makes an array of it reads them all."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.ndim = (9, 2), np.dtype("float32"), 2

    def __len__(self) -> int:
        return 9

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.zeros(self.shape, self.dtype)[rows]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise AssertionError("all rows were read at once")


def test_rows_of_a_file_stay_there() -> None:
    rows = Lazy()
    arrays = Arrays(rows, np.zeros(9))
    assert arrays.x is rows
    assert arrays.take(slice(2, 5)).x.shape == (3, 2)


@given(structures)
def test_a_structure_of_arrays_is_left_as_it_is(structure: Any) -> None:
    arrays = map_leaves(lambda leaf: np.full(3, leaf), structure)
    if leaves(arrays):
        assert Arrays(arrays).x is arrays


metric_names = st.text(
    st.characters(codec="ascii", categories=["L", "N"], include_characters="_/"), min_size=1
)
logged = metric_names | metric_names.map("val_".__add__)


@given(logged)
def test_a_logged_name_and_its_column_are_each_others_inverse(name: str) -> None:
    """Also for a metric whose name has a slash, or begins with `train`."""
    assert keras_name(column(name)) == name
    assert column(keras_name(column(name))) == column(name)


@given(st.dictionaries(logged, st.floats(allow_nan=False)))
def test_splitting_logs_loses_no_value(logs: dict[str, float]) -> None:
    train, validation = split_logs(logs)
    assert {**train, **{f"val_{name}": value for name, value in validation.items()}} == logs
    assert {base_name(name) for name in logs if is_validation(name)} == set(validation)


@given(st.lists(metric_names.filter(lambda name: not is_validation(name)), unique=True), st.booleans())
def test_logged_names_are_unique_and_split_into_equal_halves(metrics: list[str], validated: bool) -> None:
    train, validation = split_logs(dict.fromkeys(logged_names(metrics, validated=validated), 0.0))
    assert list(train) == metrics
    assert list(validation) == (metrics if validated else [])


# Far from the subnormal numbers, which TensorFlow's kernels take for 0.
magnitudes = st.floats(2.0**-60, 2.0**60, width=32)
values = st.just(0.0) | magnitudes | magnitudes.map(lambda x: -x) | st.sampled_from([np.nan, np.inf, -np.inf])


@given(
    st.lists(st.tuples(values, values), min_size=1, max_size=20),
    st.sampled_from(DIRECTIONS),
    st.just(0.0) | st.floats(2.0**-20, 2.0**20, width=32),
)
def test_the_host_and_the_graph_agree_on_what_is_better(
    pairs: list[tuple[float, float]], mode: str, min_delta: float
) -> None:
    rule = MonitorRule("val_loss", mode, min_delta)
    value, best = np.array(pairs, np.float32).T
    in_graph = rule.improves(tf.constant(value), tf.constant(best)).numpy()
    on_host = [rule.improves(a, b) for a, b in zip(value, best, strict=True)]
    from_python = [rule.improves(float(a), np.float32(b)) for a, b in zip(value, best, strict=True)]
    assert in_graph.tolist() == on_host == from_python


@given(values, values, st.sampled_from(DIRECTIONS), st.just(0.0) | magnitudes)
def test_no_value_improves_on_a_better_one(a: float, b: float, mode: str, min_delta: float) -> None:
    rule = MonitorRule("loss", mode, min_delta)
    x, y = np.float32(a), np.float32(b)
    assert not (rule.improves(x, y) and rule.improves(y, x))
    assert not rule.improves(np.float32(np.nan), x)
    assert rule.improves(x, rule.worst) or not np.isfinite(x)


class InterruptedWrite(Exception):
    """What a writer raises in its middle."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for each example; `tmp_path` would be one for all."""
    with tempfile.TemporaryDirectory(prefix="trainkit-tests-") as folder:
        yield Path(folder)


@given(before=st.binary(), after=st.binary(), written=st.integers(0, 40))
def test_a_write_that_fails_leaves_the_old_file(before: bytes, after: bytes, written: int) -> None:
    """Whatever was written of the new content when the writer failed."""
    with temporary_folder() as folder:
        path = folder / "file.bin"
        path.write_bytes(before)

        def write_part() -> None:
            with files.replacing_file(path) as beside:
                beside.write_bytes(after[:written])
                raise InterruptedWrite

        with pytest.raises(InterruptedWrite):
            write_part()
        assert path.read_bytes() == before
        with files.replacing_file(path) as beside:
            beside.write_bytes(after)
        assert path.read_bytes() == after
        assert os.listdir(folder) == ["file.bin"]


contents = st.dictionaries(names, st.binary(max_size=20), min_size=1, max_size=4)


@given(before=contents, after=contents)
def test_a_folder_is_replaced_whole_or_not_at_all(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    def fill(folder: Path, content: dict[str, bytes]) -> None:
        for name, data in content.items():
            (folder / name).write_bytes(data)

    def read(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    with temporary_folder() as parent:
        folder = parent / "folder"

        def fill_and_fail() -> None:
            with files.replacing_folder(folder) as beside:
                fill(beside, after)
                raise InterruptedWrite

        with files.replacing_folder(folder) as beside:
            fill(beside, before)
        with pytest.raises(InterruptedWrite):
            fill_and_fail()
        assert read(folder) == before
        with files.replacing_folder(folder) as beside:
            fill(beside, after)
        assert read(folder) == after
        assert os.listdir(parent) == ["folder"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), json_values))
def test_what_is_written_as_json_is_read_again(content: dict[str, Any]) -> None:
    with temporary_folder() as folder:
        assert files.read_json(files.write_json(folder / "a.json", content)) == content
