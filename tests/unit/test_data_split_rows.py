"""Laws of all splits: disjoint, complete, seeded; groups and times stay whole; duplicates are found."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainkit.config import DataConfig
from trainkit.core.datasets import Fold
from trainkit.core.errors import UserError
from trainkit.data.split_choice import choose_rows
from trainkit.data.splits import (
    Rows,
    SplitSettings,
    find_duplicates,
    k_folds,
    read_rows,
    split_rows,
    time_folds,
    write_rows,
)

SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.5])
KINDS = st.sampled_from(["shuffled", "stratified", "group", "time", "column"])
quickly = settings(max_examples=150, deadline=None)


def columns_for(kind: str, rows: int, seed: int) -> dict[str, Any]:
    """What a way to split goes by, at random."""
    random = np.random.default_rng(seed)
    if kind == "stratified":
        return {"labels": random.permutation(np.arange(rows) % 3)}
    by = {
        "group": random.integers(0, max(10, rows // 4), rows).astype(str).astype(object),
        "time": random.integers(0, max(10, rows // 2), rows).astype(float),
        "column": np.resize(np.array(["train", "Val", "test ", "dev"], object), rows),
    }
    return {"by": by[kind]} if kind in by else {}


def check_disjoint_and_complete(parts: Rows, rows: int) -> None:
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(rows))
    assert all(len(part) and (np.diff(part) > 0).all() for part in parts.values())


@pytest.mark.slow
@quickly
@given(KINDS, st.integers(40, 200), SHARES, SHARES, st.integers(0, 5))
def test_splits_are_disjoint_complete_and_seeded(
    kind: str, rows: int, validation: float, test: float, seed: int
) -> None:
    wanted = SplitSettings(kind, validation, test, seed)
    by = columns_for(kind, rows, seed)
    parts = split_rows(rows, wanted, **by)
    check_disjoint_and_complete(parts, rows)
    again = split_rows(rows, wanted, **by)
    assert {name: part.tolist() for name, part in parts.items()} == {n: p.tolist() for n, p in again.items()}
    if kind != "column":
        assert list(parts) == ["train", *["validation"] * (validation > 0), *["test"] * (test > 0)]


@pytest.mark.parametrize("kind", ["shuffled", "stratified", "group"])
def test_another_seed_is_another_split(kind: str) -> None:
    by = columns_for(kind, 100, 0)
    first, second = (split_rows(100, SplitSettings(kind, seed=seed), **by) for seed in (0, 1))
    assert first["test"].tolist() != second["test"].tolist()


@quickly
@given(st.integers(30, 300), SHARES.filter(bool), SHARES.filter(bool), st.integers(0, 5))
def test_shares_are_kept(rows: int, validation: float, test: float, seed: int) -> None:
    parts = split_rows(rows, SplitSettings("shuffled", validation, test, seed))
    assert abs(len(parts["test"]) - test * rows) <= 1
    assert abs(len(parts["validation"]) - validation * (rows - len(parts["test"]))) <= 1
    single = np.arange(rows).astype(str).astype(object)
    grouped = split_rows(rows, SplitSettings("group", validation, test, seed), by=single)
    timed = split_rows(rows, SplitSettings("time", validation, test, seed), by=np.arange(rows, dtype=float))
    for other in (grouped, timed):
        assert {name: abs(len(other[name]) - len(parts[name])) <= 2 for name in parts} == dict.fromkeys(
            parts, True
        )


@quickly
@given(st.integers(40, 200), st.integers(0, 20))
def test_a_group_is_never_in_two_splits(rows: int, seed: int) -> None:
    groups = columns_for("group", rows, seed)["by"]
    parts = split_rows(rows, SplitSettings("group", seed=seed), by=groups)
    inside = [set(groups[part]) for part in parts.values()]
    assert sum(map(len, inside)) == len(set(groups))


@quickly
@given(st.integers(40, 200), st.integers(0, 20))
def test_later_splits_are_later_in_time(rows: int, seed: int) -> None:
    times = columns_for("time", rows, seed)["by"]
    parts = split_rows(rows, SplitSettings("time", seed=seed), by=times)
    assert times[parts["train"]].max() < times[parts["validation"]].min()
    assert times[parts["validation"]].max() < times[parts["test"]].min()


@quickly
@given(st.integers(2, 6), st.integers(40, 200), st.integers(0, 20))
def test_later_folds_validate_on_later_rows_than_they_train_on(folds: int, rows: int, seed: int) -> None:
    times = columns_for("time", rows, seed)["by"]
    parts = time_folds(times, folds)
    assert len(parts) == folds
    for rest, held in parts:
        assert times[rest].max() < times[held].min()
    together = np.concatenate([parts[0][0], *(held for _, held in parts)])
    assert sorted(together.tolist()) == list(range(rows))


@pytest.mark.parametrize("number", range(3))
def test_a_fold_of_a_table_split_by_time_is_between_training_and_test(number: int) -> None:
    times = columns_for("time", 90, 0)["by"]
    config = DataConfig(split="time", split_column="when")
    parts = choose_rows(config, np.arange(90), None, times, 90, held=Fold(number, 3))
    assert times[parts["train"]].max() < times[parts["validation"]].min()
    assert times[parts["validation"]].max() < times[parts["test"]].min()


def test_stratified_splits_keep_the_proportions() -> None:
    labels = np.repeat(np.array(["a", "b", "c"], object), [600, 300, 100])
    parts = split_rows(1000, SplitSettings("stratified"), labels=labels)
    for name, rows in (("test", 200), ("validation", 160), ("train", 640)):
        counts = np.unique(labels[parts[name]], return_counts=True)[1]
        assert counts.tolist() == [0.6 * rows, 0.3 * rows, 0.1 * rows]


# Folds


@quickly
@given(st.booleans(), st.booleans(), st.integers(2, 5), st.integers(40, 120), st.integers(0, 5))
def test_folds_hold_each_row_out_once(
    stratified: bool, grouped: bool, folds: int, rows: int, seed: int
) -> None:
    labels = columns_for("stratified", rows, seed)["labels"] if stratified else None
    groups = columns_for("group", rows, seed)["by"] if grouped else None
    parts = k_folds(rows, folds, seed, labels=labels, groups=groups)
    assert len(parts) == folds
    assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(rows))
    for rest, held in parts:
        check_disjoint_and_complete({"train": rest, "test": held}, rows)
        if groups is not None:
            assert not set(groups[rest]) & set(groups[held])
    again = k_folds(rows, folds, seed, labels=labels, groups=groups)
    assert [held.tolist() for _, held in parts] == [held.tolist() for _, held in again]


def test_stratified_folds_keep_the_proportions() -> None:
    labels = np.repeat([0, 1], [90, 10])
    for _, held in k_folds(100, 5, 0, labels=labels):
        assert np.bincount(labels[held]).tolist() == [18, 2]


# Files


@quickly
@given(st.integers(5, 60), st.integers(0, 5))
def test_a_split_survives_its_file(rows: int, seed: int) -> None:
    parts = split_rows(rows, SplitSettings(seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "splits.json")
        write_rows(path, parts)
        read = split_rows(rows, SplitSettings("file", file=str(path)))
    assert {name: part.tolist() for name, part in read.items()} == {n: p.tolist() for n, p in parts.items()}


def test_rows_that_a_file_does_not_name_train_unless_it_names_those(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"test": [3, 0]}))
    read = read_rows(path, 5)
    assert {name: part.tolist() for name, part in read.items()} == {"train": [1, 2, 4], "test": [0, 3]}
    path.write_text(json.dumps({"test": [3, 0], "train": [1]}))
    with pytest.raises(UserError, match="leaves out 2 of 5 rows, the first is row 2"):
        read_rows(path, 5)


# Duplicates


def test_duplicates_across_splits_are_counted_and_named() -> None:
    columns = {
        "age": np.array([1.0, np.nan, 3.0, np.nan, 1.0, -0.0, 0.0]),
        "city": np.array(["x", "y", "z", "y", "x", "q", "q"], object),
    }
    splits = {"train": np.array([0, 1, 2]), "validation": np.array([3, 5]), "test": np.array([4, 6])}
    assert [str(found) for found in find_duplicates(columns, splits)] == [
        "1 of 2 validation rows have the same features as a row of train, the first is row 4 (as row 2)",
        "1 of 2 test rows have the same features as a row of train, the first is row 5 (as row 1)",
        "1 of 2 test rows have the same features as a row of validation, the first is row 7 (as row 6)",
    ]


def test_rows_that_only_look_alike_are_no_duplicates() -> None:
    columns = {"a": np.array(["x", "xy"], object), "b": np.array(["yz", "z"], object)}
    assert find_duplicates(columns, {"train": np.array([0]), "test": np.array([1])}) == []


def test_duplicate_images_are_found() -> None:
    images = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8) % 251
    images[3] = images[1]
    (found,) = find_duplicates([images], {"train": np.array([0, 1]), "test": np.array([2, 3])})
    assert (found.count, found.rows, found.first, found.same_as) == (1, 2, 3, 1)


# Bad input


def splitting(rows: int = 40, by: Any = None, labels: Any = None, **how: Any) -> Callable[[Path], Any]:
    return lambda folder: split_rows(rows, SplitSettings(**how), by=by, labels=labels)


def reading(content: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Rows:
        (folder / "splits.json").write_text(content)
        return read_rows(folder / "splits.json", 5)

    return read


SAME = np.full(40, "x", dtype=object)
BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "unknown way": (
        splitting(kind="stratify"),
        r"data\.split=stratify is no way to split; did you mean strat",
    ),
    "impossible share": (splitting(test=1.0), r"data\.test=1\.0 is not a share"),
    "nothing left": (splitting(rows=2, test=0.5, validation=0.5), "Cannot hold 0.5 of 1 rows out"),
    "no classes": (splitting(kind="stratified"), r"data\.split=stratified needs a target with classes"),
    "a class of one row": (
        splitting(kind="stratified", labels=np.array(["a"] * 39 + ["b"], object)),
        "Class 'b' has 1 rows; expected at least 3",
    ),
    "no column": (
        splitting(kind="group"),
        r"data\.split=group needs the name of a column; set data\.split_column",
    ),
    "one group": (splitting(kind="group", by=SAME), r"data\.split=group leaves no .* rows"),
    "one time": (splitting(kind="time", by=np.zeros(40)), r"data\.split=time leaves no .* rows"),
    "no time": (splitting(kind="time", by=np.array([1.0, np.nan] * 20)), "20 rows have no time.*row 2"),
    "unknown split": (
        splitting(kind="column", by=SAME),
        "'x' in row 1 names no split; known: train, validation",
    ),
    "no training rows": (splitting(kind="column", by=np.full(40, "test", object)), "no row is named train"),
    "one fold": (lambda folder: k_folds(10, 1, 0), r"data\.folds=1 cannot split 10 rows; expected 2 to 10"),
    "few times": (lambda folder: time_folds(np.zeros(9), 2), "1 times cannot make 2 folds"),
    "few groups": (lambda folder: k_folds(40, 2, 0, groups=SAME), "needs 2 groups; there are 1"),
    "few of a class": (
        lambda folder: k_folds(4, 3, 0, labels=np.array([0, 0, 0, 1])),
        "Class '1' has 1 rows",
    ),
    "no file": (splitting(kind="file", file="none.json"), r"data\.split_file=none\.json does not exist"),
    "unknown name": (reading('{"tset": [1]}'), "'tset' is no split; did you mean test"),
    "twice": (reading('{"train": [0, 1, 2, 3], "test": [4, 0]}'), "names row 0 twice, counted from 0"),
    "beyond": (reading('{"test": [5]}'), "from row 5 to 5; expected 0 to 4, since .* counts them from 0"),
    "no numbers": (reading('{"test": ["a"]}'), "expected a list of row numbers"),
    "all held out": (reading('{"test": [0, 1, 2, 3, 4]}'), "leaves no training rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_impossible_splits_give_one_clear_line(tmp_path: Path, case: str) -> None:
    run, said = BAD[case]
    with pytest.raises(UserError, match=said) as error:
        run(tmp_path)
    assert "\n" not in str(error.value)
