"""Tables and texts that do not fit into memory: what their files hold is what memory would hold."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tables import LABELLED, write_tables
from trainkit.config import DataConfig
from trainkit.core.errors import UserError
from trainkit.core.row_view import RowView
from trainkit.core.tree import leaves
from trainkit.data.sources import csv_files, stored_tables, stored_texts
from trainkit.data.sources.stored_columns import StoredColumns, StoredTexts
from trainkit.data.sources.stored_tables import read_any_table
from trainkit.data.sources.stored_texts import read_any_texts
from trainkit.data.sources.tables import TableOptions, read_table
from trainkit.data.sources.texts import read_texts
from trainkit.data.table_data import TableData, table_data


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with `people.csv`, the same as two Parquet files, and as a compressed file."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 700)
    monkeypatch.setattr(stored_tables, "BLOCK_ROWS", 7)
    write_tables(tmp_path)
    text = Path(LABELLED).read_text()
    Path("semicolons.csv.gz").write_bytes(gzip.compress(text.replace(",", ";").encode()))
    columns = dict(read_table(LABELLED).columns)
    columns["number"] = np.arange(60)
    columns["share"] = np.where(np.arange(60) % 9, np.arange(60) / 7, np.nan)
    whole = pa.table(columns).append_column(
        "when", pa.array([datetime(2024, 1, 1 + i % 28) for i in range(60)])
    )
    Path("parts").mkdir()
    parquet.write_table(whole.slice(0, 40), "parts/1.parquet")
    parquet.write_table(whole.slice(40).select(whole.column_names[::-1]), "parts/2.parquet")
    return tmp_path


@pytest.mark.parametrize("path", [LABELLED, "semicolons.csv.gz", "parts"])
def test_a_table_in_a_file_is_read_as_in_memory(path: str, tables: Path) -> None:
    expected = read_table(path)
    for _ in range(2):
        found = read_any_table(path, TableOptions(), memory=65_000, cache="cache")
        assert isinstance(found.columns, StoredColumns)
        assert len(found) == len(expected)
        assert list(found.columns) == list(expected.columns)
        for name, column in expected.columns.items():
            np.testing.assert_array_equal(found.columns[name], column)
        blocks = list(found.columns.blocks())
        assert len(blocks) > 2
        joined = {name: [cell for block in blocks for cell in block[name]] for name in found.columns}
        assert joined["town"] == expected.columns["town"].tolist()
        assert found.notes[:-1] == expected.notes
        assert found.source == expected.source
    assert len(list(Path("cache").glob("*/rows"))) == 1


def test_a_table_of_which_no_column_fits_is_refused(tables: Path) -> None:
    with pytest.raises(UserError, match=r"people\.csv: one of its columns takes about 5. kB in memory"):
        read_any_table(LABELLED, TableOptions(), memory=50_000, cache="cache")


def assert_prepared_alike(found: TableData, expected: TableData) -> None:
    """What lies in files is what memory holds, and trains the same."""
    assert found.schema.columns == expected.schema.columns
    assert found.preparation == expected.preparation
    assert found.notes == expected.notes
    assert found.source == expected.source
    for name, part in expected.splits().in_memory().items():
        other = found.splits().in_memory()[name]
        assert list(other.x) == list(part.x)
        assert all(isinstance(array, RowView) for array in other.x.values())
        for one, same in zip(leaves(part.batch()), leaves(other.batch()), strict=True):
            np.testing.assert_array_equal(one, np.asarray(same))
            assert one.dtype == same.dtype
    some = np.array([3, 0, 7])
    assert found.texts(some) == expected.texts(some)
    assert len(list(Path("cache").glob("*-prepared-*/rows"))) == 1


@pytest.mark.parametrize("target", ["outcome", "price"])
def test_what_is_prepared_of_a_table_in_a_file_is_what_is_prepared_in_memory(
    target: str, tables: Path
) -> None:
    problem = "classification" if target == "outcome" else "regression"
    config = DataConfig(path=LABELLED, target=target, columns={"town": "text"})
    expected = table_data(config, problem)
    assert_prepared_alike(table_data(replace(config, memory=65_000, cache="cache"), problem), expected)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with `reviews/`, a folder per class, and the same as `reviews.csv`, whose column
    of texts nobody has named: short and long ones, alike at their beginning, an empty and two equal ones."""
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stored_texts, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 8000)
    rows = ["label,opinion,stars"]
    for number in range(40):
        label = "bad" if number % 3 else "good"
        words = " ".join(f"wörd{(number * k) % 23}" for k in range(number))
        text = f"the same beginning {'of all of them ' * 9 if number > 20 else ''}{words}"
        text = {5: "", 7: "two are equal", 33: "two are equal"}.get(number, text)
        file = Path("reviews") / label / f"{number:02}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"  {text}\n")
        rows.append(f"{label},  {text} ,{number / 7}")
    Path("reviews.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.mark.parametrize("settings", [{"path": "reviews"}, {"path": "reviews.csv", "target": "label"}])
def test_texts_in_a_file_are_prepared_as_in_memory(settings: dict[str, Any], texts: Path) -> None:
    config = DataConfig(**settings)
    expected = table_data(config, "text")
    found = table_data(replace(config, memory=49_000, cache="cache"), "text")
    assert isinstance(found.columns["opinion" if "target" in settings else "text"], StoredTexts)
    assert_prepared_alike(found, expected)
    assert found.schema.notes[:-1] == expected.schema.notes
    with pytest.raises(UserError, match="one of its columns takes about 36 kB in memory"):
        table_data(replace(config, memory=30_000, cache="cache"), "text")


def test_text_files_that_cannot_be_read_are_left_out_of_a_file_too(texts: Path) -> None:
    Path("reviews/bad/00.txt").write_bytes(b"caf\xe9")
    options = {"memory": 49_000, "cache": "cache"}
    with pytest.raises(UserError, match="1 of 41 texts cannot be read"):
        read_any_texts("reviews", **options)
    found = read_any_texts("reviews", skip_bad=True, **options)
    expected = read_texts("reviews", skip_bad=True)
    assert found.source == expected.source
    assert found.notes[:-1] == expected.notes
    for name, column in expected.columns.items():
        assert found.columns[name].tolist() == column.tolist()
    Path("moved").mkdir()
    os.rename("reviews", "moved/reviews")
    moved = read_any_texts("moved/reviews", skip_bad=True, **options)
    assert moved.columns["path"][0] == "moved/reviews/bad/01.txt"
    assert len(list(Path("cache").glob("*/rows"))) == 1
