"""Runs of a version that drew the rows that a column, a file or the files' names give to splits now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainkit.core.errors import UserError
from trainkit.data.fitted import SCHEMA_FILE, check_same_schema
from trainkit.data.schema import Schema
from trainkit.tasks.tabular import TabularClassification, TabularRegression

pytest.importorskip("pyarrow")

ROWS = 60


def write(folder: Path, *, one_file: bool = False) -> Path:
    """The same rows as one file, or as files that are splits."""
    folder.mkdir()
    rows = [f"{i}.25,{'ab'[i % 2]},{2 * i},{'train' if i < 40 else 'test'}" for i in range(ROWS)]
    parts = {"all": rows} if one_file else {"1": rows[:40], "2": rows[40:]}
    names = {"all": "all.csv", "1": "test.csv", "2": "train.csv"}
    for part, lines in parts.items():
        (folder / names[part]).write_text("\n".join(["x,c,y,part", *lines]) + "\n")
    return folder


def former(run: Path, task: TabularClassification | TabularRegression) -> None:
    """The files of a run that drew its rows from all, as the former version wrote them."""
    run.mkdir()
    for name, text in task.run_files().items():
        content = json.loads(text)
        if name == SCHEMA_FILE:
            assert content.pop("split") in ("", "column")
        (run / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("kind", "target", "split"),
    [(TabularRegression, "y", "shuffled"), (TabularClassification, "c", "stratified")],
)
def test_a_run_that_joined_files_of_splits_goes_on_as_it_drew_its_rows(
    kind: Any, target: str, split: str, tmp_path: Path
) -> None:
    settings = {"path": str(write(tmp_path / "files")), "target": target}
    one = {"path": str(write(tmp_path / "one", one_file=True)), "target": target}
    drawn = kind(settings=one).table.rows
    former(tmp_path / "run", kind(settings={**settings, "split": split}))
    with pytest.raises(UserError, match=rf"were joined when the run began\. Add data\.split={split}, or"):
        _ = kind(settings=settings, run=tmp_path / "run").table
    rows = kind(settings={**settings, "split": split}, run=tmp_path / "run").table.rows
    assert {name: part.tolist() for name, part in rows.items()} == {
        name: part.tolist() for name, part in drawn.items()
    }


def test_a_run_that_joined_files_with_a_rare_class_is_to_be_trained_anew(tmp_path: Path) -> None:
    settings = {"path": str(write(tmp_path / "files")), "target": "c"}
    train = tmp_path / "files/train.csv"
    train.write_text(train.read_text() + "9.5,rare,1,test\n")
    found = TabularClassification(settings=settings).table
    with pytest.raises(UserError, match=r"were joined when the run began\. Train it anew"):
        check_same_schema(found.schema, replace(found.schema, split=""), found.source, found.former)


@pytest.mark.parametrize("name", ["split_column", "split_file"])
def test_a_run_that_did_not_read_what_names_the_splits_goes_on_without_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(json.dumps({"test": [1, 2]}))
    value = "part" if name == "split_column" else str(tmp_path / "split.json")
    settings = {"path": str(write(tmp_path / "one", one_file=True)), "target": "y"}
    began = TabularRegression(settings)
    former(tmp_path / "run", began)
    with pytest.raises(UserError, match=rf"data\.{name}=.*drawn from all\. Add data\.{name}=null, or"):
        _ = TabularRegression({**settings, name: value}, run=tmp_path / "run").table
    rows = TabularRegression({**settings, name: None}, run=tmp_path / "run").table.rows
    assert np.array_equal(rows["test"], began.table.rows["test"])


def test_a_run_all_of_whose_named_rows_trained_goes_on_with_all_of_them(tmp_path: Path) -> None:
    path = str(write(tmp_path / "one", one_file=True))
    settings = {"path": path, "target": "y", "split": "column", "split_column": "part"}
    former(tmp_path / "run", TabularRegression({**settings, "validation": 0.0}))
    said = r"rows named train validate now, and trained when .* Add data\.validation=0, or"
    with pytest.raises(UserError, match=said):
        _ = TabularRegression(settings, run=tmp_path / "run").table
    rows = TabularRegression({**settings, "validation": 0.0}, run=tmp_path / "run").table.rows
    assert {name: len(part) for name, part in rows.items()} == {"train": 40, "test": 20}


@pytest.mark.parametrize("name", ["", "split_column"])
def test_a_run_that_was_split_by_names_goes_on(name: str, tmp_path: Path) -> None:
    path = str(write(tmp_path / "data", one_file=bool(name)))
    settings = {"path": path, "target": "y", **({name: "part"} if name else {})}
    task = TabularRegression(settings)
    (tmp_path / "run").mkdir()
    for file, text in task.run_files().items():
        (tmp_path / "run" / file).write_text(text)
    again = replace(task, run=tmp_path / "run")
    assert again.fitted[0].split == ("column" if name else "files")
    assert np.array_equal(again.table.rows["test"], task.table.rows["test"])
    assert Schema.from_dict(task.table.schema.to_dict()).split == again.fitted[0].split
