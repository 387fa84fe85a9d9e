"""Laws of quotes in a CSV file: no row is lost in a cell, and texts of several lines stay what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainkit.core.cells import printed
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema
from trainkit.data.schema_table import table_text
from trainkit.data.sources import row_cache
from trainkit.data.sources.stored_tables import read_any_table
from trainkit.data.sources.tables import Table, TableOptions, read_table

pytest.importorskip("pyarrow")
ROW = "0.5,w,p"


def written(folder: Path, changes: dict[int, str], rows: int = 100, row: str = ROW) -> Path:
    """A table whose lines are all alike but for some, by their numbers; the header is line 1."""
    lines = ["x,kind,y", *[row] * rows]
    for line, text in changes.items():
        lines[line - 1] = text
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(params=["in memory", "in a file"])
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = request.param == "in memory"
    monkeypatch.setattr(row_cache, "fits", lambda nbytes, memory, *column: bool(column) or inside)


def read(path: Path, options: TableOptions | None = None) -> Table:
    return read_any_table(path, options or TableOptions(), None, str(path.parent / "cache"))


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("text", ['0.5,w,"p', '0.5,"w,p', '"0.5,w,p', '"1\n2",w,"p'])
def test_a_quote_that_is_open_at_the_end_is_refused_with_its_line(
    tmp_path: Path, text: str, skip_bad: bool
) -> None:
    path = written(tmp_path, {40: '0.5,"w,\nw",p', 61: text})
    line = 62 + text.count("\n")  # the cell of line 40 has two lines
    with pytest.raises(UserError, match=f"the quote that opens in line {line} is never closed") as error:
        read(path, TableOptions(skip_bad=skip_bad))
    assert "\n" not in str(error.value)


def test_an_open_quote_in_the_header_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the quote that opens in line 1 is never closed"):
        read(written(tmp_path, {1: 'x,kind,"y'}))


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("end", ['0.7,w,q"', '0.7,w,"q"'])
def test_rows_that_a_quote_swallows_are_refused_with_its_line(tmp_path: Path, end: str) -> None:
    path = written(tmp_path, {61: '0.5,w,"p', 81: end})
    with pytest.raises(
        UserError, match=r"opens in line 61 and closes 20 lines later.*21 rows.*data\.columns\.y=text"
    ):
        read(path)
    table = read(path, TableOptions(texts=("y",)))
    assert len(table) == 80
    assert table.notes[0] == "y: the cell in line 61 has 21 lines that look like rows of the table"


def test_one_row_that_a_quote_may_have_swallowed_is_told(tmp_path: Path) -> None:
    (note,) = read_table(written(tmp_path, {61: '0.5,w,"p', 62: '0.7,w,q"'})).notes
    assert note == "y: the cell in line 61 has 2 lines that look like rows of the table"


@pytest.mark.usefixtures("stored")
def test_texts_of_several_lines_are_read_without_a_note(tmp_path: Path) -> None:
    text = '"Good, and cheap.\n\nWe bought it, twice,\nand would again."'
    rows = dict.fromkeys(range(2, 102, 2), f"0.5,{text},p")
    table = read(written(tmp_path, {**rows, 7: '0.5,"5"" wide\n6"" high",p', 9: '0.5,5" wide,p'}))
    assert len(table) == 100
    texts = table.columns["kind"].tolist()
    assert (texts[0], texts[5]) == (text.strip('"'), '5" wide\n6" high')
    assert [note for note in table.notes if "look like rows" in note] == []


def test_values_are_shown_in_one_short_line(tmp_path: Path) -> None:
    long = "größe\n" + "x" * 200
    assert printed(long) == "größe\\n" + "x" * 51 + "..."
    schema = infer_schema(read_table(written(tmp_path, {5: f'0.5,"{long}",p'})).columns)
    assert all(len(line) < 200 for line in table_text(schema).splitlines())
    assert len(table_text(schema).splitlines()) == 4 + len(schema.decisions)
