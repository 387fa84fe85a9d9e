"""Splits that the data name, by a column, a file of numbers or their own files, are kept; what would choose
them is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainkit.config import DataConfig
from trainkit.core.datasets import Fold
from trainkit.core.errors import UserError
from trainkit.data.settings import data_config
from trainkit.data.splits import read_rows
from trainkit.data.table_data import TableData, table_data

pytest.importorskip("pyarrow")

ROWS = 40
TEST = list(range(30, ROWS))


def write(path: Path, rows: range, split: str = "") -> Path:
    """Rows `x,y` of a line, and with a split its column, in which the rows of `TEST` are test rows."""
    lines = ["x,y" + (",part" if split else "")]
    for i in rows:
        lines.append(f"{i}.25,{2 * i}" + (f",{split if i in TEST else 'train'}" if split else ""))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Any, held: float | Fold | None = None, **settings: Any) -> TableData:
    return table_data(data_config({"path": path, "target": "y", **settings}), "regression", held)


def numbers(found: TableData, split: str) -> list[int]:
    return sorted(found.columns["x"][found.rows[split]].astype(int).tolist())


def sizes(found: TableData) -> dict[str, int]:
    return {name: len(rows) for name, rows in found.rows.items()}


def named_by(kind: str, folder: Path) -> dict[str, Any]:
    """Settings of data that name the rows of `TEST` for the test, and none for validation."""
    if kind == "column":
        return {"path": str(write(folder / "a.csv", range(ROWS), "test")), "split_column": "part"}
    if kind == "file":
        (folder / "split.json").write_text(json.dumps({"test": TEST}))
        path = write(folder / "a.csv", range(ROWS))
        return {"path": str(path), "split_file": str(folder / "split.json")}
    files = write(folder / "d/train.csv", range(30)), write(folder / "d/Test.csv", range(30, ROWS))
    return {"path": str(folder / "d") if kind == "folder" else list(map(str, files))}


KINDS = pytest.mark.parametrize("kind", ["column", "file", "folder", "list"])


@KINDS
def test_the_rows_that_are_named_test_and_no_others_are_tested_on(kind: str, tmp_path: Path) -> None:
    found = read(**named_by(kind, tmp_path))
    assert numbers(found, "test") == TEST
    assert sizes(found) == {"train": 24, "validation": 6, "test": 10}
    assert [feature.name for feature in found.schema.features] == ["x"]
    told = " ".join([*found.notes, *found.schema.notes])
    assert "no validation rows: 6 of the training rows validate, data.validation=0.2" in told
    assert ("test row 30 is row 31" in told) == (kind == "file")
    assert ("the files train.csv, Test.csv are splits" in told) == (kind == "list")
    assert sizes(read(**named_by(kind, tmp_path), validation=0.0)) == {"train": 30, "test": 10}
    folds = [read(**named_by(kind, tmp_path), held=Fold(number, 3)) for number in range(3)]
    held = [number for fold in folds for number in numbers(fold, "validation")]
    assert sorted(held) == sorted(set(range(ROWS)) - set(TEST))


def test_named_validation_rows_validate_unless_others_are_asked_for(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.csv", range(ROWS), "val"))
    found = read(path, split_column="part")
    assert numbers(found, "validation") == TEST
    assert sizes(found) == {"train": 30, "validation": 10}
    assert sizes(read(path, 0.0, split_column="part")) == {"train": 40}
    assert sizes(read(path, Fold(0, 4), split_column="part")) == {"train": 30, "validation": 10}


def test_files_of_splits_are_kept_apart_when_they_do_not_fit_into_memory(tmp_path: Path) -> None:
    settings = named_by("folder", tmp_path)
    inside = read(**settings).rows
    outside = read(**settings, memory=40_000, cache=str(tmp_path / "cache"))
    assert "not held in memory" in " ".join(outside.schema.notes)
    assert {name: rows.tolist() for name, rows in outside.rows.items()} == {
        name: rows.tolist() for name, rows in inside.items()
    }


def test_files_of_other_names_and_those_that_are_to_be_mixed_are_joined(tmp_path: Path) -> None:
    settings = named_by("folder", tmp_path)
    drawn = {"train": 25, "validation": 7, "test": 8}
    assert sizes(read(**settings, split="shuffled")) == drawn
    (tmp_path / "d/Test.csv").rename(tmp_path / "d/more.csv")
    assert sizes(read(**settings)) == drawn


@KINDS
@pytest.mark.parametrize("settings", [{"test": 0.1}, {"folds": 3}])
def test_settings_that_would_choose_what_is_named_are_refused(
    settings: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"data\.{next(iter(settings))}=[^\n]*; leave it out|out\. [^\n]*$"):
        read(**named_by(kind, tmp_path), **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"split_column": "a", "split_file": "b"},
            "split_file=b is not read with data.split_column=a: leave",
        ),
        ({"split": "shuffled", "split_column": "a"}, "split_column=a is not read with data.split=shuffled"),
        ({"split": "group", "split_column": "a", "split_file": "b"}, "split_file=b is not read"),
        ({"split": "file", "split_column": "a", "split_file": "b"}, "split_column=a is not read"),
        ({"split_column": "a", "folds": 3}, "folds=3 is not read with data.split_column=a"),
        ({"folds": 3, "test": 0.1}, "test=0.1 is not read with data.folds=3: a fold is the test"),
        ({"fold": 2}, "fold=2 is not read without data.folds"),
        ({"split_column": "y", "target": "y"}, "target=y is also data.split_column"),
    ],
)
def test_settings_of_a_split_that_would_not_be_read_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=rf"^data\.{said}"):
        data_config(settings)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("prat", r"^data\.split_column=prat: the data have no column 'prat'; did you mean part\?"),
        ("x", r"'0\.25' in row 1 names no split; known: train, validation, test\. For a column of groups"),
    ],
)
def test_a_column_that_names_no_splits_is_refused(column: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        read(str(write(tmp_path / "a.csv", range(ROWS), "test")), split_column=column)


def test_rows_without_a_target_need_not_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", range(ROWS), "test")
    path.write_text(path.read_text() + "99.5,,later\n")
    found = read(str(path), split_column="part", skip_bad=True)
    assert sizes(found) == {"train": 24, "validation": 6, "test": 10}


@pytest.mark.parametrize("skip_bad", [False, True])
def test_files_of_splits_without_targets_are_refused_with_how_to_predict_them(
    skip_bad: bool, tmp_path: Path
) -> None:
    settings = named_by("folder", tmp_path)
    (tmp_path / "d/Test.csv").write_text("x,y\n30.25,\n31.25,\n")
    said = r"^data\.target=y has no value in Test\.csv, .*path=\.\.\./train\.csv, .*path=\.\.\./Test\.csv\.$"
    with pytest.raises(UserError, match=said):
        read(**settings, skip_bad=skip_bad)
    assert sizes(read(**settings, skip_bad=True, split="shuffled"))["test"] == 6


def test_a_file_that_counts_rows_from_1_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [1, 2, 3], "test": [4, 5]}))
    with pytest.raises(UserError, match=r"counts them from 0\. If it counts from 1, subtract 1 from each\.$"):
        read_rows(path, 5)


def test_the_default_of_a_split_is_no_choice() -> None:
    assert DataConfig().split_kind == "auto"
    assert DataConfig(split="time", split_column="a").split_kind == "time"
