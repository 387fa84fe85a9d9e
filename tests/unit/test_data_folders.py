"""Folders say the classes of the files in them, or their splits; what is passed over is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainkit.config import DataConfig
from trainkit.core.datasets import Fold
from trainkit.core.errors import UserError
from trainkit.data.sources.class_folders import labelled_files
from trainkit.data.sources.paths import detect_format, files_of
from trainkit.data.sources.texts import read_texts
from trainkit.data.table_data import TableData, table_data


def write(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"a text of the file {name}")


def sentiments(root: Path, **counts: int) -> None:
    """Folders of splits, each with so many texts of two classes."""
    for split, count in counts.items():
        write(root, *(f"{split}/{label}/{i:02}.txt" for label in ("neg", "pos") for i in range(count)))


def names(found: TableData, split: str) -> set[str]:
    return {text.split()[-1].partition("/")[0] for text in found.texts(found.rows[split])["text"]}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"train": 10, "test": 3}, {"train": 16, "validation": 4, "test": 6}),
        ({"Training": 6, "val": 3, "TEST": 2}, {"train": 12, "validation": 6, "test": 4}),
    ],
)
def test_folders_that_are_named_as_splits_are_the_splits(
    counts: dict[str, int], expected: dict[str, int], tmp_path: Path
) -> None:
    sentiments(tmp_path, **counts)
    config = DataConfig(path=str(tmp_path))
    found = table_data(config, "text")
    assert {name: len(rows) for name, rows in found.rows.items()} == expected
    assert names(found, "test") == {list(counts)[-1]}
    assert names(found, "train") == {next(iter(counts))}
    assert "are splits, and the folders in them classes" in found.schema.notes[0]
    assert [column.name for column in found.schema.features] == ["text"]
    by_column = table_data(DataConfig(path=str(tmp_path), split="column", split_column="split"), "text")
    assert by_column.rows["test"].tolist() == found.rows["test"].tolist()
    folds = [table_data(config, "text", Fold(number, 3)) for number in range(3)]
    assert all(fold.rows["test"].tolist() == found.rows["test"].tolist() for fold in folds)
    held = np.sort(np.concatenate([fold.rows["validation"] for fold in folds]))
    assert held.tolist() == np.setdiff1d(np.arange(found.schema.rows), found.rows["test"]).tolist()


def test_a_class_in_a_test_folder_only_is_refused(tmp_path: Path) -> None:
    sentiments(tmp_path, train=6, test=2)
    write(tmp_path, "test/mixed/0.txt")
    with pytest.raises(UserError, match="'mixed' occurs only in the test rows, in no training row"):
        table_data(DataConfig(path=str(tmp_path)), "text")


@pytest.mark.parametrize("seed", range(4))
def test_a_class_with_too_few_rows_for_each_part_trains(seed: int, tmp_path: Path) -> None:
    write(tmp_path, *(f"{label}/{i:02}.txt" for label in "ab" for i in range(10)))
    write(tmp_path, "one/0.txt", "two/0.txt", "two/1.txt")
    found = table_data(DataConfig(path=str(tmp_path), seed=seed), "text")
    parts = {name: set(found.columns["label"][rows]) for name, rows in found.rows.items()}
    assert parts == {"train": {"a", "b", "one", "two"}, "validation": {"a", "b"}, "test": {"a", "b"}}
    assert sorted(np.concatenate(list(found.rows.values()))) == list(range(23))
    assert "class 'one' has one row only" in found.notes


CLASSES: dict[str, Callable[[Path], None]] = {
    "texts of trains and tests": lambda root: write(root, "train/1.txt", "test/1.txt"),
    "no training": lambda root: write(root, "val/a/1.txt", "test/b/1.txt"),
    "another class": lambda root: write(root, "train/a/1.txt", "test/b/1.txt", "tram/1.txt"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_folders_of_other_names_are_classes(case: str, tmp_path: Path) -> None:
    CLASSES[case](tmp_path)
    found = labelled_files(tmp_path, "text", labelled=True)
    assert list(found.columns) == ["label"]
    assert set(found.columns["label"]) == {folder.name for folder in tmp_path.iterdir()}


def test_folders_and_files_that_are_passed_over_are_named(tmp_path: Path) -> None:
    write(tmp_path, "a/1.txt", "a/deep/2.TXT", "a/.hidden.txt", "a/3.doc", "b/1.txt", "d/readme.md")
    (tmp_path / "c").mkdir()
    table = read_texts(tmp_path)
    assert table.columns["label"].tolist() == ["a", "a", "b"]
    empty, others = table.notes
    assert empty == "no class, since no file in it ends in .txt: c, d"
    assert others == "1 file does not end in .txt and is left out: 3.doc"
    new = read_texts(tmp_path, labelled=False)
    assert new.notes == ("2 files do not end in .txt and are left out: 3.doc, readme.md",)
    (tmp_path / "b" / "2.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(UserError, match=r"2\.txt .*Set data\.encoding to theirs, e\.g\. latin-1"):
        read_texts(tmp_path)
    assert read_texts(tmp_path, encoding="latin-1").columns["text"][-1] == "caf\xe9"


def test_links_are_followed_once_and_hidden_folders_are_not_looked_into(tmp_path: Path) -> None:
    write(tmp_path, "far/away/1.txt", "data/a/2.txt", "data/b/1.txt", "data/a/.ipynb_checkpoints/2.txt")
    (tmp_path / "data" / "a" / "linked").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "round").symlink_to(tmp_path / "data" / "a")
    table = read_texts(tmp_path / "data")
    assert [Path(path).name for path in table.columns["path"]] == ["2.txt", "1.txt", "1.txt"]
    (tmp_path / "data" / "a" / "3.txt").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"1 of 4 texts cannot be read: .*3\.txt .*No such file"):
        table_data(DataConfig(path=str(tmp_path / "data")), "text")


def test_the_mark_of_utf_8_is_no_part_of_a_text(tmp_path: Path) -> None:
    write(tmp_path, "a/1.txt", "b/1.txt")
    (tmp_path / "a" / "1.txt").write_text("first word", encoding="utf-8-sig")
    assert read_texts(tmp_path).columns["text"][0] == "first word"


@pytest.mark.parametrize("place", ["b/pipe.txt", "table.csv", "rows.parquet"])
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path, place: str) -> None:
    write(tmp_path, "a/1.txt", "b/2.txt")
    os.mkfifo(tmp_path / place)
    path = tmp_path if "/" in place else tmp_path / place
    with pytest.raises(UserError, match=f"{Path(place).name} is no file but a pipe, a socket or a device"):
        detect_format(path)
    with pytest.raises(UserError, match="files are read more than once"):
        files_of(tmp_path / place, "csv")


def test_a_pipe_of_no_format_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a/1.txt", "b/2.txt")
    os.mkfifo(tmp_path / "agent.socket")
    assert detect_format(tmp_path) == "text"
