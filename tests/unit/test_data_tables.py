"""Laws of tables: what a file holds arrives whole, and what cannot be read is refused in one line."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainkit.core.errors import UserError
from trainkit.data.sources import csv_files, paths
from trainkit.data.sources.stored_tables import read_any_table
from trainkit.data.sources.tables import Table, TableOptions, read_table

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def cells_of(table: Table) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in table.columns.items()}


def written(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def written_parquet(folder: Path, columns: dict[str, Any], name: str = "table.parquet") -> Path:
    parquet.write_table(pa.table(columns), folder / name)
    return folder / name


# CSV


def test_cells_of_a_csv_stay_texts(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'id,country,note\n007,NA,"a, b\nc"\n010,,"say ""hi"""\n'))
    assert cells_of(table) == {
        "id": ["007", "010"],
        "country": ["NA", ""],
        "note": ["a, b\nc", 'say "hi"'],
    }
    assert table.notes == ()


# Cells without blanks around them, which are dropped, and without the bytes that CSV has no place for.
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00", exclude_categories=["Cs"])).map(
    str.strip
)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(CELL, CELL.filter(bool)), min_size=1, max_size=5))
def test_any_text_survives_a_csv(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("first", "second"), *rows])
        columns = cells_of(read_table(path))
    assert columns["first"] == [row[0] for row in rows]
    assert columns["second"] == [row[1] for row in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_in_the_header(tmp_path: Path, delimiter: str) -> None:
    text = "a_b_c\n1,5_x_2\n" if delimiter != "," else "a_b_c\n15_x_2\n"
    table = read_table(written(tmp_path, text.replace("_", delimiter)))
    assert list(table.columns) == ["a", "b", "c"]
    assert len(table) == 1


def test_compressed_marked_and_other_encodings_are_read(tmp_path: Path) -> None:
    packed = written(tmp_path, gzip.compress(b"a,b\n1,2\n"), "packed.csv.gz")
    for ending, codec in (("bz2", "bz2"), ("zst", "zstd")):
        with pa.output_stream(str(tmp_path / f"packed.csv.{ending}"), compression=codec) as stream:
            stream.write(b"a,b\n1,2\n")
        assert cells_of(read_table(tmp_path / f"packed.csv.{ending}")) == cells_of(read_table(packed))
    marked = written(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n", "marked.csv")
    assert cells_of(read_table(packed)) == cells_of(read_table(marked)) == {"a": ["1"], "b": ["2"]}
    latin = written(tmp_path, "a,b\nBüro,2\n".encode("latin-1"), "latin.csv")
    assert read_table(latin, TableOptions(encoding="latin-1")).columns["a"].tolist() == ["Büro"]


def test_decimal_commas_become_points_on_request(tmp_path: Path) -> None:
    path = written(tmp_path, "a;b\n1,5;x,y\n-2,25e3;1,2,3\n")
    assert read_table(path).columns["a"].tolist() == ["1,5", "-2,25e3"]
    table = read_table(path, TableOptions(decimal=","))
    assert cells_of(table) == {"a": ["1.5", "-2.25e3"], "b": ["x,y", "1,2,3"]}
    with pytest.raises(UserError, match=r"data\.decimal=; is no decimal mark"):
        read_table(path, TableOptions(decimal=";"))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1, max_size=9),
    st.sampled_from([(".", ",", ","), (",", ".", "."), (",", " ", " \xa0\u202f"), (".", "'", "'’")]),
    st.data(),
)
def test_numbers_with_marks_between_thousands_are_read_on_request(
    tmp_path: Path, amounts: list[Decimal], marks: tuple[str, str, str], data: st.DataObject
) -> None:
    decimal, thousands, alike = marks
    written_as = str.maketrans(",.", data.draw(st.sampled_from(alike)) + decimal)
    cells = [f"{amount:,}".translate(written_as) for amount in amounts]
    path = written(tmp_path, "\n".join(["a;b", *(f"{cell};{cell} kg" for cell in cells)]) + "\n")
    options = TableOptions(decimal=decimal, thousands=thousands)
    for memory in (None, 900 * (len(cells) + 2)):
        columns = read_any_table(path, options, memory, str(tmp_path / "cache")).columns
        assert [Decimal(cell) for cell in columns["a"]] == amounts
        assert columns["b"].tolist() == [f"{cell} kg" for cell in cells]


def test_marks_that_are_none_are_refused_and_other_cells_stay(tmp_path: Path) -> None:
    cells = ["1,5", "01,234", "1,23", "1,2345", "a,123", "1,234,5", "1,234.", "1.234,567"]
    path = written(tmp_path, "\n".join(["a;b", *(f"{cell};x" for cell in cells)]) + "\n")
    assert read_table(path, TableOptions(thousands=",")).columns["a"].tolist() == cells
    for mark, said in (
        (";", ": expected null"),
        (".", " is the decimal mark too"),
        ("''", ": expected null"),
    ):
        with pytest.raises(UserError, match=f"data.thousands={mark}{said}"):
            read_table(path, TableOptions(thousands=mark))


def test_blanks_around_cells_are_dropped_and_told(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a , b\n1, x\n2,y\n"))
    assert cells_of(table) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert table.notes == ("b: blanks around the text are dropped in 1 rows",)


def test_columns_without_a_name_or_a_header_are_numbered(tmp_path: Path) -> None:
    path = written(tmp_path, ",b\n0,x\n")
    table = read_table(path)
    assert list(table.columns) == ["column_1", "b"]
    assert table.notes == ("a column without a name is called column_1",)
    table = read_table(path, TableOptions(header=False))
    assert cells_of(table) == {"column_1": ["", "0"], "column_2": ["b", "x"]}


def test_lines_may_end_as_on_old_machines(tmp_path: Path) -> None:
    assert cells_of(read_table(written(tmp_path, "a,b\r1,x\r2,y\r"))) == {"a": ["1", "2"], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n\n", "is empty"),
        ("\na,b\n1,2\n", "begins with an empty line"),
        ("a,b\n1,x\n".encode("utf-16"), r"set data\.encoding=utf-16"),
        ("a,a\n1,2\n", "two columns named 'a'"),
        ('"' + "x" * 200_000 + '",b\n1,2\n', "Cannot read the first row .* field larger"),
    ],
)
def test_files_that_begin_badly_are_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_table(written(tmp_path, content))


def test_names_that_are_numbers_are_told(tmp_path: Path) -> None:
    (note,) = read_table(written(tmp_path, "1.5,a,b\n2.5,x,y\n")).notes
    assert note == "the column 1.5 is named by a number: data.header=false if there is no header"


def test_rows_of_another_length_are_left_out_on_request_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n")
    table = read_table(path, TableOptions(skip_bad=True))
    assert cells_of(table) == {"a": ["1", "7"], "b": ["2", "8"]}
    assert table.notes == ("2 rows of table.csv have not 2 cells and are left out: '3'",)


# Several files


def test_files_of_a_folder_are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    written(tmp_path, "a,b\n1,x\n", "1.csv")
    written(tmp_path, "b,a\ny,2\n", "2.csv")
    written(tmp_path, "not a table", ".hidden.csv")
    by_folder = read_table(tmp_path)
    assert cells_of(by_folder) == {"a": ["1", "2"], "b": ["x", "y"]}
    by_list = read_table([tmp_path / "1.csv", tmp_path / "2.csv"])
    by_pattern = read_table(f"{tmp_path}/*.csv")
    assert cells_of(by_list) == cells_of(by_pattern) == cells_of(by_folder)
    assert by_list.source.sha256 == by_folder.source.sha256


def test_checksum_changes_with_any_file(tmp_path: Path) -> None:
    written(tmp_path, "a\n1\n", "1.csv")
    written(tmp_path, "a\n2\n", "2.csv")
    first = read_table(tmp_path).source.sha256
    assert read_table(tmp_path).source.sha256 == first
    written(tmp_path, "a\n3\n", "2.csv")
    assert read_table(tmp_path).source.sha256 != first


# Bad input


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing file": (
        lambda folder: folder / "tabel.csv",
        r"data\.path=.*tabel\.csv does not exist.*table\.csv",
    ),
    "missing folder": (lambda folder: folder / "no" / "x.csv", "there is no folder"),
    "empty file": (lambda folder: written(folder, "", "a.csv"), "is empty"),
    "header alone": (lambda folder: written(folder, "a,b\n", "a.csv"), "has no rows"),
    "no header": (lambda folder: written(folder, "5.1,3.5\n4.9,3\n", "a.csv"), r"data\.header=false"),
    "two of a name": (lambda folder: written(folder, "a,a\n1,2\n", "a.csv"), "two columns named 'a'"),
    "short row": (lambda folder: written(folder, "a,b\n1,2\n3\n", "a.csv"), r"row 2.*data\.skip_bad=true"),
    "sep= of Excel": (
        lambda folder: written(folder, "sep=;\na;b;c\n1;2;3\n", "a.csv"),
        r"the first line, 'sep=;', is read as the names .* has 2 cells, the rows below have 3\. Delete the",
    ),
    "a remark": (
        lambda folder: written(folder, "# of 2024\na,b\n1,2\n\n3,4\n", "a.csv"),
        r"the first line, '# of 2024', is read as the names .* has 1 cells, the rows below have 2",
    ),
    "not UTF-8": (lambda folder: written(folder, b"a,b\n\xff\xfe,2\n", "a.csv"), r"data\.encoding"),
    "open quote": (lambda folder: written(folder, 'a,b\n"x,2\n3,4\n', "a.csv"), "a.csv"),
    "no Parquet": (lambda folder: written(folder, "a,b\n", "a.parquet"), "Cannot read .* as Parquet"),
    "images": (lambda folder: written(folder, "", "a.png"), "holds images, and a table was expected"),
    "unknown ending": (lambda folder: written(folder, "", "a.dat"), "no file of a known format"),
    "both formats": (
        lambda folder: [folder / "table.csv", written_parquet(folder, {"a": [1]})],
        r"1 csv files, 1 parquet files; set data\.format",
    ),
    "other columns": (
        lambda folder: [folder / "table.csv", written(folder, "a,c\n1,2\n", "b.csv")],
        r"b\.csv has no column 'b'",
    ),
    "a folder without tables": (lambda folder: paths.files_of(folder, "parquet"), "has no parquet file"),
    "mixed kinds": (
        lambda folder: [
            written_parquet(folder, {"a": [1]}, "1.parquet"),
            written_parquet(folder, {"a": ["x"]}, "2.parquet"),
        ],
        r"data\.columns\.a: numbers in one file and texts in another",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_gives_one_clear_line(tmp_path: Path, case: str) -> None:
    written(tmp_path, "a,b\n1,2\n")
    given_path, said = BAD[case]
    with pytest.raises(UserError, match=said) as error:
        read_table(given_path(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", ["sep= of Excel", "a remark"])
def test_a_line_above_the_names_is_told_where_bad_rows_are_left_out_too(tmp_path: Path, case: str) -> None:
    given_path, said = BAD[case]
    with pytest.raises(UserError, match=said):
        read_table(given_path(tmp_path), TableOptions(skip_bad=True))


def test_rows_that_can_be_read_are_however_many_bad_ones_come_first(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n" + "1,2,3\n" * 25 + "1,2\n" * 5)
    assert len(read_table(path, TableOptions(skip_bad=True))) == 5
    with pytest.raises(UserError, match="is read as the names of the columns and has 2 cells, the rows"):
        read_table(path)


def test_a_row_that_is_cut_off_where_the_file_is_looked_at_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "a,b,c\n" + "1000,2000,3000\n" * 3)
    for size in range(7, 60):
        monkeypatch.setattr(csv_files, "HEAD_BYTES", size)
        assert len(read_table(path)) == 3


@pytest.mark.parametrize("header", [b"gr\xf6\xdfe,b\n", b'"two\nlines \xf6",b\n', b"a,b\xf6"])
def test_a_header_in_another_encoding_is_refused_as_a_row_is(tmp_path: Path, header: bytes) -> None:
    path = written(tmp_path, header + b"1,2\n3,4\n")
    for has_header in (True, False):
        with pytest.raises(UserError, match=r"Cannot read .*table\.csv as utf-8: .* Set data\.encoding"):
            read_table(path, TableOptions(header=has_header))
    assert list(read_table(written(tmp_path, "gr\ufffd\ufffde,b\n1,2\n")).columns) == ["gr\ufffd\ufffde", "b"]


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_row_of_other_length_and_encoding_is_refused_in_one_line(
    skip_bad: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, b"a,b,y\n1,2,3\n4,\xce5\n5,6,7\n")
    with pytest.raises(UserError, match=r"Cannot read .*table\.csv as utf-8: .* Set data\.encoding"):
        read_table(path, TableOptions(skip_bad=skip_bad))
    assert capfd.readouterr().err == ""
