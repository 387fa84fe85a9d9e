"""From a CSV file to prepared splits, and from a second file through the exported preparation."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import trainkit.data as data
from trainkit.config import DataConfig
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.files import read_json, write_json
from trainkit.data.checks import check_rows, weighted
from trainkit.data.fitted import new_table
from trainkit.data.table_data import table_data

ROWS = 400
HEADER = ("zip", "row", "age", "country", "since", "note", "buys")


def write_table(path: Path, seed: int, rows: int = ROWS, extra: tuple[str, ...] = ()) -> Path:
    """Ids with leading zeros, gaps, "NA" as a gap and as a text, dates, free text, and labels as texts."""
    random = np.random.default_rng(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*HEADER, *extra])
        for row in range(rows):
            age = random.choice(["", "NA", *map(str, random.integers(18, 90, 20))])
            day = np.datetime64("2023-01-01") + random.integers(0, 700)
            cells = [
                f"{random.integers(0, 60):05d}",
                row,
                age,
                random.choice(["NA", "DE", "Österreich"]),
                day,
            ]
            writer.writerow([*cells, f"customer number {row}", random.choice(["yes", "no"]), *extra])
    return path


def test_a_file_becomes_splits_and_a_second_one_predictions(tmp_path: Path) -> None:
    table = data.read_table(write_table(tmp_path / "train.csv", 0))
    schema = data.infer_schema(
        table.columns, source=table.source, roles={"buys": "target"}, problem="classification"
    )
    assert {column.name: (column.kind, column.role) for column in schema.columns} == {
        "zip": ("category", "feature"),
        "row": ("id", "ignored"),
        "age": ("numeric", "feature"),
        "country": ("category", "feature"),
        "since": ("date", "feature"),
        "note": ("text", "ignored"),
        "buys": ("category", "target"),
    }
    assert len(schema.decisions) == 5
    columns = schema.read(table.columns)
    splits = data.split_rows(len(table), data.SplitSettings("stratified"), labels=columns["buys"])
    assert (
        data.find_duplicates({feature.name: columns[feature.name] for feature in schema.features}, splits)
        == []
    )
    preparation = data.fit_preparation(schema, columns, splits["train"])
    arrays = {name: preparation.arrays(columns, rows) for name, rows in splits.items()}
    assert {name: len(part) for name, part in arrays.items()} == {"train": 256, "validation": 64, "test": 80}
    numbers = arrays["train"].x["numbers"]
    assert np.isfinite(numbers).all()
    names = preparation.inputs["numbers"].names
    known = numbers[numbers[:, names.index("age is missing")] == 0, names.index("age")]
    for column in (known, numbers[:, names.index("since")]):
        np.testing.assert_allclose([column.mean(), column.std()], [0, 1], atol=1e-5)

    # What a run keeps is enough for new rows.
    write_json(tmp_path / "schema.json", schema.to_dict())
    preparation.save(tmp_path / "preparation.json")
    kept = data.Schema.from_dict(read_json(tmp_path / "schema.json"))
    restored = data.Preparation.load(tmp_path / "preparation.json")
    assert (kept, restored) == (schema, preparation)

    new = data.read_table(write_table(tmp_path / "new.csv", 1, rows=50, extra=("remark",)))
    assert kept.additional(new.columns) == ["remark"]
    rows = kept.read(new.columns, roles=("feature",))
    expected = restored.encode(rows)
    numeric = [feature.name for feature in kept.features if feature.kind == "numeric"]
    got = data.keras_preprocessing(restored)(
        {
            name: tf.constant(rows[name].tolist(), tf.float64 if name in numeric else tf.string)
            for name in rows
        }
    )
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-6, atol=1e-6)
    with pytest.raises(UserError, match="no column 'zip', which the training had"):
        kept.read({name: column for name, column in new.columns.items() if name != "zip"})
    with pytest.raises(UserError, match="has other rows than the run was trained on"):
        kept.check_unchanged(new.source)


@pytest.mark.parametrize("memory", [None, 3000])
def test_new_rows_with_categories_or_gaps_that_the_training_did_not_have_are_told(
    tmp_path: Path, memory: int | None
) -> None:
    rows = [("Rome", "TRUE", "yes"), ("Oslo", "FALSE", "no")] * 30
    (tmp_path / "train.csv").write_text(_csv(rows))
    table = data.read_table(tmp_path / "train.csv")
    schema = data.infer_schema(table.columns, roles={"buys": "target"}, problem="classification")
    preparation = data.fit_preparation(schema, schema.read(table.columns), np.arange(len(rows)))
    config = DataConfig(memory=memory, cache=str(tmp_path / "cache"))

    def notes(*rows: tuple[str, str, str]) -> list[str]:
        (tmp_path / "new.csv").write_text(_csv(list(rows)))
        _, table, _ = new_table(str(tmp_path / "new.csv"), config, schema, preparation)
        return [note for note in table.notes if "training" in note]

    assert notes(("Rome", "True", ""), ("Oslo", "FALSE", "")) == []
    assert notes(("Rome", "True", ""), ("", "FALSE", "")) == [
        "town: 1 of 2 cells are gaps, of which the training had none"
    ]
    assert notes(("Bern", "yes", ""), ("Rome", "no", "")) == [
        "town: 1 of 2 cells are categories that the training did not have, such as 'Bern'; "
        "known are 'Oslo', 'Rome'",
        "member: 2 of 2 cells are categories that the training did not have, such as 'yes'; "
        "known are 'FALSE', 'TRUE'",
    ]


def _csv(rows: list[tuple[str, str, str]]) -> str:
    return "".join(",".join(row) + "\n" for row in [("town", "member", "buys"), *rows])


def test_messages_number_the_rows_of_a_split_as_the_file_does(tmp_path: Path) -> None:
    path = write_table(tmp_path / "table.csv", 0, 50)
    table = table_data(DataConfig(path=str(path), target="buys"), "classification")
    train, rows = table.splits().train, table.rows["train"]
    assert train.named([0, 3], "training") == ([rows[0] + 1, rows[3] + 1], "of the data")
    assert train.select(slice(2, 9)).named([1], "training")[0] == [rows[3] + 1]
    spoilt = replace(train.take(slice(0, 9)), y=np.where(np.arange(9) == 4, np.nan, 0.0))
    with pytest.raises(UserError, match=f"the first is row {rows[4] + 1} of the data"):
        check_rows(spoilt.numbered(rows[:9]), "training")
    weighed = weighted(train, {0: 2.0})
    assert weighed.named([3], "training") == train.named([3], "training")
    others = Arrays(np.array([[0.0], [np.inf]]))
    with pytest.raises(UserError, match="the first is row 2 of the validation rows"):
        check_rows(others, "validation")


def test_rows_that_no_file_numbers_so_are_named_by_their_split(tmp_path: Path) -> None:
    """Those of several files, of lines some of which are left out, and rows that were put in their place."""
    for name, first in (("train", 0), ("test", 50)):
        write_table(tmp_path / f"{name}.csv", first, first + 50)
    of_two = table_data(DataConfig(path=str(tmp_path), target="buys"), "classification").splits()
    assert of_two.test.named([0], "test") == ([1], "of the test rows")
    one = DataConfig(path=str(tmp_path / "train.csv"), target="buys")
    train = table_data(one, "classification").splits().train
    turned = replace(train, y=train.y[::-1])
    assert turned.named([2], "training") == ([3], "of the training rows")
    some = table_data(replace(one, skip_bad=True), "classification").splits().train
    assert some.named([2], "training") == ([3], "of the training rows")
