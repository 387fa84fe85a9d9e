"""Laws of the schema: kinds by the cells, nothing lost without a note, everything to be overruled."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.support.columns import NUMBERS, ROWS, texts
from trainkit.core.datasets import Source
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema
from trainkit.data.schema import ColumnSchema, Schema


def column_of(values: np.ndarray, name: str = "column", **settings: Any) -> ColumnSchema:
    return infer_schema({name: values}, **settings)[name]


KINDS: dict[str, tuple[str, np.ndarray, str, str]] = {
    # name of the column, cells, kind, what a note must say ("": there is none)
    "whole numbers": ("age", texts("1", "25", "3"), "numeric", ""),
    "real numbers": ("size", texts("-1.5", "2e-3", ".5", "+7."), "numeric", ""),
    "numbers with gaps": ("age", texts("1", "", "3"), "numeric", ""),
    "NA among numbers": ("age", texts("1", "NA", "3"), "numeric", "'NA' in 13 rows is read as a gap"),
    "a number or nothing": ("paid", texts("1", ""), "numeric", ""),
    "typed numbers": ("age", np.resize([1.5, np.nan], ROWS), "numeric", ""),
    "categories": ("color", texts("red", "green"), "category", ""),
    "categories with gaps": ("color", texts("red", ""), "category", ""),
    "NA among texts": ("country", texts("NA", "DE"), "category", r"kept as a value; .*missing=\[NA\]"),
    "booleans": ("yes", np.resize([True, False], ROWS), "category", ""),
    "leading zeros": ("zip", texts("01234", "99999"), "category", "leading zeros as in '01234'"),
    "long numbers": ("key", texts("12345678901234567", "7"), "category", "more digits than a number keeps"),
    "zero and fractions": ("x", texts("0", "0.5"), "numeric", ""),
    "numbers that name": ("user_id", texts("7", "8", "9"), "category", "its numbers name things"),
    "ids by name": ("Order ID", NUMBERS * 3 + 5, "id", "left out: whole numbers that number the rows"),
    "row numbers": ("x", NUMBERS, "id", "left out: whole numbers that number the rows"),
    "measured integers": ("income", NUMBERS * 3 + 5, "numeric", ""),
    "codes": (
        "sku",
        np.array([f"A{n}" for n in NUMBERS], object),
        "id",
        "left out: 40 different values in 40",
    ),
    "free text": (
        "note",
        np.array([f"there are {n} of them" for n in NUMBERS], object),
        "text",
        "left out: free text; data.columns.note=category",
    ),
    "constant": ("x", texts("same"), "constant", "left out: it is 'same' in every row"),
    "empty": ("x", texts(""), "constant", "left out: it has no values"),
    "ISO dates": ("day", texts("2024-02-29", "1999-12-31"), "date", ""),
    "dates with gaps": ("day", texts("2024-02-29", "NA", ""), "date", "'NA' in 13 rows is read as a gap"),
    "moments": ("at", texts("2024-02-29 12:00:01", "1999-12-31 00:00:00"), "date", ""),
    "German dates": ("day", texts("29.02.2024", "31.12.1999"), "date", ""),
    "dates with offsets": (
        "at",
        texts("2024-02-29T12:00:01+02:00", "1999-12-31T00:00:00-05:30"),
        "date",
        "its times are read in UTC",
    ),
    "JavaScript's dates": (
        "at",
        texts("2024-02-29T12:00:01.000Z", "1999-12-31T00:00:00.123Z"),
        "date",
        "fractions",
    ),
    "years of two digits": (
        "day",
        texts("02/29/24", "12/31/99"),
        "category",
        r"set \S+day\.format=%m/%d/%y to",
    ),
    "days or months": ("day", texts("02/03/24", "12/11/99"), "category", r"=%d/%m/%y if .*, or %m/%d/%y"),
    "years of two digits and names": ("day", texts("29-Feb-24", "7-Dec-99"), "category", r"=%d-%b-%y to"),
    "names of months": ("day", texts("27 Jun 2020", "3 may 2021"), "date", ""),
    "whole names of months": ("day", texts("June 27, 2020", "May 3, 2021"), "date", ""),
    "clocks of 12 hours": ("at", texts("6/27/2020 1:00 PM", "06/03/2020 12:05 am"), "date", ""),
    "names in another language": (
        "day",
        texts("27. Juni 2020", "3. Mai 2021"),
        "category",
        "is no date like",
    ),
    "times alone": ("at", texts("08:30", "9:15"), "category", "'08:30' is a time without a day; write it as"),
    "offsets in another form": (
        "at",
        texts("2024-02-29T12:00:01+0200", "1999-12-31T00:00:00-0530"),
        "category",
        "is no date like 2024-01-31; set a format if it has one, .*%z is an offset such as \\+02:00",
    ),
    "US dates": ("day", texts("02/29/2024", "12/31/1999"), "date", ""),
    "fractions": ("at", texts("2024-02-29 12:00:01.5", "1999-12-31 00:00:00.25"), "date", "dropped"),
    "no such day": ("day", texts("2023-02-29", "2024-13-01"), "category", "'2023-02-29' is no date"),
    "unpadded dates": ("day", texts("1/2/2024", "3/14/2024"), "date", ""),
    "half numbers": (
        "size",
        texts("38", "40", "S", "M"),
        "category",
        "50% of its cells are numbers; all are read",
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_kind_is_inferred_and_what_is_lost_is_noted(case: str) -> None:
    name, values, kind, note = KINDS[case]
    found = column_of(values, name)
    assert found.kind == kind
    assert found.role == ("ignored" if kind in ("id", "constant", "text") else "feature")
    if note:
        assert len(found.notes) == 1
        assert re.search(note, found.notes[0])
    else:
        assert found.notes == ()


def test_gaps_different_values_and_examples_are_counted() -> None:
    found = column_of(texts("3", "", "NA", "-1"))
    assert (found.gaps, found.distinct, found.examples) == (20, 2, ("-1", "3"))
    found = column_of(texts("01.03.2024", "29.02.2024", "31.12.2025"))
    assert found.examples == ("29.02.2024", "31.12.2025")
    found = column_of(np.array([*"aaabb", ""], object))
    assert (found.gaps, found.distinct, found.examples) == (1, 2, ("a", "b"))


def test_times_are_those_of_dates_or_numbers() -> None:
    columns = {"day": texts("1970-01-02", ""), "year": texts("1999", "2024"), "city": texts("x", "y")}
    schema = infer_schema(columns)
    read = schema.read(columns)
    np.testing.assert_array_equal(schema["day"].times(read["day"])[:2], [86_400, np.nan])
    np.testing.assert_array_equal(schema["year"].times(read["year"])[:2], [1999, 2024])
    with pytest.raises(UserError, match=r"data\.columns\.city is of kind category; a split by time needs"):
        schema["city"].times(read["city"])


# Overrides


OVERRIDES: dict[str, tuple[np.ndarray, Any, str]] = {
    "a number as category": (texts("1", "2"), "category", "category"),
    "a code as number": (texts("01", "02"), "numeric", "numeric"),
    "an id as category": (NUMBERS, {"kind": "category"}, "category"),
    "a constant as number": (texts("1"), "numeric", "numeric"),
    "text used": (np.array([f"there are {n} of them" for n in NUMBERS], object), "text", "text"),
    "a date by its format": (texts("20240229", "19991231"), {"format": "%Y%m%d"}, "date"),
    "a date of two digits": (texts("02/29/24", "12/31/99"), {"format": "%m/%d/%y"}, "date"),
    "an ambiguous date": (texts("01/02/2024", "03/04/2024"), {"format": "%d/%m/%Y"}, "date"),
    "a mixed column": (texts(*"123456789x"), "category", "category"),
    "a mixed column with its gap": (texts(*"123456789x"), {"missing": ["x"]}, "numeric"),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_kind_is_overruled(case: str) -> None:
    values, setting, kind = OVERRIDES[case]
    found = column_of(values, overrides={"column": setting})
    assert (found.kind, found.role) == (kind, "feature")


def test_ignored_columns_are_not_judged() -> None:
    schema = infer_schema(
        {"mixed": texts(*"123456789x"), "a": texts("1", "2")}, overrides={"mixed": "ignore"}
    )
    assert schema["mixed"].role == "ignored"
    assert list(schema.read({"mixed": texts("x"), "a": texts("3")})) == ["a"]


def test_gaps_are_set_for_all_columns_or_for_one() -> None:
    columns = {"a": texts("1", "-9"), "b": texts("x", "-9"), "c": texts("NA", "-9", "y")}
    schema = infer_schema(columns, missing=["-9"], overrides={"c": {"missing": ["NA"]}})
    assert [schema[name].missing for name in columns] == [("-9",), ("-9",), ("NA",)]
    assert schema.read(columns)["c"].tolist()[:3] == ["", "-9", "y"]
    assert np.isnan(schema.read(columns)["a"]).sum() == 20
    assert np.isnan(schema.read({**columns, "a": np.resize([1, -9], ROWS)})["a"]).sum() == 20


def test_a_usual_gap_that_first_occurs_in_new_rows_is_one() -> None:
    schema = infer_schema({"a": texts("1", "2")})
    assert np.isnan(schema.read({"a": texts("3", "NA")})["a"]).sum() == 20


def test_a_column_with_a_purpose_is_not_left_out() -> None:
    columns = {
        "fold": texts("train", "test"),
        "row": NUMBERS,
        "weight": texts("1", "2"),
        "y": texts("0", "1"),
    }
    roles = {"fold": "split", "row": "group", "weight": "weight", "y": "target"}
    schema = infer_schema(columns, roles=roles, problem="classification")
    assert {column.name: column.role for column in schema.columns} == roles
    assert [column.kind for column in schema.columns] == ["category", "category", "numeric", "category"]
    assert schema.features == ()
    assert schema.target is schema["y"]
    assert schema.read(columns, roles=("target",))["y"].tolist()[:2] == ["0", "1"]


# Reading


def test_new_rows_are_read_by_the_schema_of_the_first() -> None:
    columns = {"age": texts("1", "NA"), "city": texts("NA", "x"), "day": texts("29.02.2024", "01.03.2024")}
    schema = infer_schema(columns)
    new = {
        "age": np.array([7, 8]),
        "city": np.array(["7", ""], object),
        "day": np.array(["01.01.2025", ""], object),
    }
    read = schema.read(new)
    assert read["age"].tolist() == [7.0, 8.0]
    assert read["city"].tolist() == ["7", ""]
    assert read["day"].tolist() == ["01.01.2025", ""]
    assert schema.additional({**new, "more": texts("")}) == ["more"]


@pytest.mark.parametrize("first", [("TRUE", "FALSE"), ("True", "False", ""), ("true", "false", "NA")])
def test_true_and_false_are_the_same_categories_however_a_program_spells_them(first: tuple[str, ...]) -> None:
    columns = {"flag": texts(*first)}
    schema = Schema.from_dict(infer_schema(columns).to_dict())
    assert schema.read(columns)["flag"].tolist() == columns["flag"].tolist()
    for spelled in (str.lower, str.upper, str.title):
        new = texts(*(spelled(cell) if cell != "NA" else cell for cell in first))
        assert schema.read({"flag": new})["flag"].tolist() == columns["flag"].tolist()
    typed = schema.read({"flag": np.resize([True, False], ROWS)})["flag"]
    assert set(typed) == set(first[:2])


@pytest.mark.parametrize(
    ("cells", "own", "told"),
    [
        (["TRUE", "true", "TRUE", "F"], {"true": "TRUE"}, "'true' and 'TRUE' are the same, read as 'TRUE'"),
        (["false", "True", "FALSE", "false"], {"true": "True", "false": "false"}, "'FALSE' and 'false' are "),
        (["TRUE", "true", "Rome", "Oslo"], {}, ""),
        (["no", "No"], {}, ""),
    ],
)
def test_true_and_false_in_several_spellings_in_one_column_are_one_category_each(
    cells: list[str], own: Mapping[str, str], told: str
) -> None:
    schema = infer_schema({"y": texts(*cells)}, roles={"y": "target"}, problem="classification")
    new = texts(*cells, "tRUE", "nO")
    assert schema.read({"y": new})["y"].tolist() == [own.get(cell.lower(), cell) for cell in new]
    assert schema["y"].distinct == len({own.get(cell.lower(), cell) for cell in cells})
    assert [decision.startswith(f"y: {told}") for decision in schema.decisions] == [True] * bool(told)


def test_missing_columns_and_wrong_cells_of_new_rows_are_named() -> None:
    schema = infer_schema(
        {"age": texts("1", "2"), "day": texts("2024-02-29", "2024-03-01"), "y": texts("0", "1")}
    )
    with pytest.raises(UserError, match="no column 'day', which the training had; did you mean days"):
        schema.read({"age": texts("1"), "days": texts("2024-02-29"), "y": texts("1")})
    rows = {"age": texts("1", "old"), "day": texts("2024-02-29"), "y": texts("1")}
    with pytest.raises(UserError, match=r"data\.columns\.age: 20 of 40 cells are no number.*'old' in row 2"):
        schema.read(rows)
    with pytest.raises(
        UserError, match=r"data\.columns\.day: .* no date as %Y-%m-%d.*'29\.02\.2024' in row 1"
    ):
        schema.read({**rows, "age": texts("1"), "day": texts("29.02.2024")})


def test_of_bad_cells_new_rows_are_told_only_what_helps_them() -> None:
    columns = {"age": texts("1", "2"), "y": texts("0", "1")}
    bad = {**columns, "age": texts("1", "old")}
    with pytest.raises(UserError, match=r"Mend them: the column is read as in the training\.$"):
        infer_schema(columns).read(bad)
    with pytest.raises(
        UserError, match=r"Mend them, set .*age\.missing=\[old\].* a gap, or set data\.columns\.age=category"
    ):
        infer_schema(bad, overrides={"age": "numeric"})


# Keeping and showing


def test_schema_survives_its_file() -> None:
    columns = {"age": texts("1", "NA"), "city": texts("x", "y"), "id": NUMBERS, "y": texts("0", "1")}
    source = Source("t", "t.csv", "ab12")
    overrides = {"age": {"unit": "years"}}
    schema = infer_schema(
        columns, source=source, overrides=overrides, roles={"y": "target"}, notes=["a note"]
    )
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    schema.check_unchanged(source)
    with pytest.raises(UserError, match=r"data\.path=t\.csv has changed.*start a new run"):
        schema.check_unchanged(Source("t", "t.csv", "ab13"))


@pytest.mark.parametrize("content", [{}, {"format": 2}, {"format": 1, "columns": [{"nom": "x"}]}])
def test_a_damaged_schema_is_refused(content: Mapping[str, Any]) -> None:
    with pytest.raises(UserError, match=r"schema\.json"):
        Schema.from_dict(content)
