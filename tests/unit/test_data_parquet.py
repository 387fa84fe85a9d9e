"""Laws of Parquet files: types are kept, and what cannot be read is refused in one line."""

from __future__ import annotations

import shlex
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainkit.core.errors import UserError
from trainkit.data.sources import row_cache
from trainkit.data.sources.stored_tables import read_any_table
from trainkit.data.sources.tables import TableOptions, read_table

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def written_parquet(folder: Path, columns: dict[str, Any], name: str = "table.parquet") -> Path:
    parquet.write_table(pa.table(columns), folder / name)
    return folder / name


def test_numbers_with_marks_are_read_in_memory_as_from_stored_rows(tmp_path: Path) -> None:
    prices = pa.array(250 * ["1.234,5", None, "n/a", "2,5"])
    path = written_parquet(tmp_path, dict.fromkeys(("price", *"abcdefgh"), prices))
    options = TableOptions(decimal=",", thousands=".")
    stored = read_any_table(path, options, 1_000_000, str(tmp_path / "cache"))
    assert any(tmp_path.glob("cache/*"))
    for table in (read_table(path, options), stored):
        assert table.columns["price"][:4].tolist() == ["1234.5", "", "n/a", "2.5"]


def test_types_of_a_parquet_file_are_kept(tmp_path: Path) -> None:
    moment = datetime(2024, 2, 29, 12, 30, 5)
    columns = {
        "count": pa.array([1, 2, 3]),
        "gap": pa.array([1, None, 3]),
        "real": pa.array([0.5, None, 2.5]),
        "money": pa.array([Decimal("1.25"), None, Decimal("2.50")]),
        "yes": pa.array([True, None, False]),
        "name": pa.array(["NA", None, "007"]),
        "city": pa.array(["x", None, "x"]).dictionary_encode(),
        "day": pa.array([date(2024, 2, 29), None, date(1969, 12, 31)]),
        "at": pa.array([moment, None, moment]),
        "zoned": pa.array([moment.replace(tzinfo=UTC), None, None]),
        "big": pa.array([2**60 + 1, None, 3]),
        "none": pa.nulls(3),
    }
    table = read_table(written_parquet(tmp_path, columns))
    dtypes = {name: column.dtype.kind for name, column in table.columns.items()}
    assert [name for name in dtypes if dtypes[name] == "i"] == ["count"]
    assert [name for name in dtypes if dtypes[name] == "f"] == ["gap", "real", "money"]
    np.testing.assert_array_equal(table.columns["gap"], [1, np.nan, 3])
    np.testing.assert_array_equal(table.columns["money"], [1.25, np.nan, 2.5])
    texts = {name: column.tolist() for name, column in table.columns.items() if dtypes[name] == "O"}
    assert texts == {
        "yes": ["true", "", "false"],
        "name": ["NA", "", "007"],
        "city": ["x", "", "x"],
        "day": ["2024-02-29", "", "1969-12-31"],
        "at": ["2024-02-29 12:30:05", "", "2024-02-29 12:30:05"],
        "zoned": ["2024-02-29T12:30:05Z", "", ""],
        "big": [str(2**60 + 1), "", "3"],
        "none": ["", "", ""],
    }
    assert table.notes == ("big: whole numbers beyond 2^53 are kept as texts, which keep all digits",)


def test_fractions_of_seconds_that_are_dropped_are_told(tmp_path: Path) -> None:
    moments = pa.array([datetime(2024, 1, 1, 0, 0, 0, 5), datetime(2024, 1, 1)])
    table = read_table(written_parquet(tmp_path, {"at": moments}))
    assert table.columns["at"].tolist() == ["2024-01-01 00:00:00", "2024-01-01 00:00:00"]
    assert table.notes == ("at: fractions of a second are dropped in 1 rows",)


def test_two_columns_of_one_name_in_a_parquet_file_are_refused(tmp_path: Path) -> None:
    table = pa.table({"a": [1], "b": [2]}).rename_columns(["a", "a"])
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UserError, match="two columns named 'a'"):
        read_table(tmp_path / "t.parquet")


def test_a_column_of_lists_is_refused_unless_ignored(tmp_path: Path) -> None:
    path = written_parquet(tmp_path, {"a": [1, 2], "tags": [["x"], []]})
    with pytest.raises(
        UserError, match=r"data\.columns\.tags has the type list<.*data\.columns\.tags=ignore"
    ):
        read_table(path)
    assert list(read_table(path, TableOptions(ignore=("tags",))).columns) == ["a", "tags"]


@pytest.mark.parametrize("stored", [False, True])
def test_all_columns_of_a_parquet_file_that_cannot_be_read_are_told_at_once(
    stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {
        "a": [1, 2],
        "took": pa.array([1, 2], pa.duration("s")),
        "at": [time(10), time(11)],
        "how long": [{"h": 1}, {"h": 2}],
        "y": ["x", "z"],
    }
    path = written_parquet(tmp_path, columns)
    monkeypatch.setattr(row_cache, "fits", lambda nbytes, memory, *column: bool(column) or not stored)
    with pytest.raises(UserError, match=r"data\.columns\.took has the type duration") as error:
        read_any_table(path, TableOptions(), None, str(tmp_path / "cache"))
    advised = shlex.split(str(error.value).rpartition(" out by ")[2].rstrip("."))
    ignored = [word.removeprefix("data.columns.").removesuffix("=ignore") for word in advised]
    assert ignored == ["took", "at", "how long"]
    read = read_any_table(path, TableOptions(ignore=tuple(ignored)), None, str(tmp_path / "cache"))
    assert list(read.columns) == list(columns)


@pytest.mark.parametrize("text", [b"colour", b"green"], ids=["name", "cell"])
@pytest.mark.parametrize("stored", [False, True])
def test_texts_of_parquet_that_are_no_utf8_are_refused_in_one_line(
    text: bytes, stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"colour": ["red", "green"], "y": [1, 2]}
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.table(columns), path, store_schema=False, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(text, text[:-1] + b"\xee"))
    monkeypatch.setattr(row_cache, "fits", lambda nbytes, memory, *column: bool(column) or not stored)
    with pytest.raises(UserError, match=r"Cannot read .*table\.parquet as Parquet: "):
        read_any_table(path, TableOptions(), None, str(tmp_path / "cache"))


def test_another_format_that_is_said_to_be_parquet_is_told_by_its_ending(tmp_path: Path) -> None:
    (tmp_path / "a.feather").write_bytes(b"ARROW1" * 9)
    with pytest.raises(UserError, match=r"as Parquet: .*; expected .* by pandas\.read_feather\(\.\.\.\)"):
        read_table(tmp_path / "a.feather", TableOptions(format="parquet"))
