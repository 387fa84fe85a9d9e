"""The table of columns that is shown before a training."""

from __future__ import annotations

from tests.support.columns import NUMBERS, texts
from trainkit.data.inference import infer_schema
from trainkit.data.schema_table import table_text


def test_table_shows_each_column_and_each_decision() -> None:
    columns = {
        "age": texts("1", "NA", "73"),
        "row": NUMBERS,
        "city": texts("x" * 90, "y"),
        "y": texts("0", "1"),
    }
    overrides = {"age": {"unit": "years"}, "y": "category"}
    schema = infer_schema(columns, overrides=overrides, roles={"y": "target"})
    assert table_text(schema, 60).splitlines() == [
        "column  kind       role     gaps  distinct  values",
        "age     numeric    feature  13    2         1 to 73 years",
        "row     id         ignored        40        0, 1, 2",
        "city    category   feature        2         xxxxxxxxxxxxx...",
        "y       category*  target         2         0, 1",
        "! age: 'NA' in 13 rows is read as a gap",
        "! row: left out: whole numbers that number the rows",
    ]


def test_of_many_columns_the_table_shows_the_target_and_those_with_remarks() -> None:
    columns = {f"c{i}": texts("1", "NA") if i in (30, 60) else texts("1", "2") for i in range(2000)}
    schema = infer_schema({**columns, "y": texts("0", "1")}, roles={"y": "target"})
    lines = table_text(schema).splitlines()
    names = [*(f"c{i}" for i in (*range(17), 30, 60)), "y"]
    assert [line.split()[0] for line in lines[1:21]] == names
    assert lines[21:] == [
        "and 1,981 more columns, as schema.json of the run tells",
        *(f"! {name}: 'NA' in 20 rows is read as a gap" for name in ("c30", "c60")),
    ]


def test_of_many_decisions_those_that_are_not_shown_are_counted() -> None:
    schema = infer_schema({f"c{i}": texts("1") for i in range(30)})
    lines = table_text(schema).splitlines()
    assert len([line for line in lines if "is '1' in every row" in line]) == 20
    assert lines[-1] == "! and 10 more such lines, in schema.json of the run"
