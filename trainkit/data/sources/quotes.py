"""Quotes of a CSV file that close too late, or never: the rows in between would be one cell."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError
from trainkit.data.columns import setting_of
from trainkit.data.sources import arrow
from trainkit.data.sources.table_options import TableOptions

__all__ = ["SpanningCells", "refuse_open"]

CLOSING = re.compile(
    r'(?:[^"]|"")*?"(?!")'
)  # up to the quote that ends a cell; two of them are one of its text
LINES = r"[\r\n]"


class SpanningCells:
    """Looks at the cells that span lines: texts may, rows that a quote has swallowed must not.

    Args:
        file: That is read.
        names: Of its columns.
        delimiter: Between its cells.
        options: How it is read.
    """

    def __init__(self, file: Path, names: Sequence[str], delimiter: str, options: TableOptions) -> None:
        self.file = file
        self.names = names
        self.delimiter = delimiter
        self.options = options
        self.swallowed: dict[int, list[str]] = {}  # by the column's number: the cells that look like rows
        self.of_texts: set[int] = set()  # columns with others
        self.has_rows = False
        self.ends_in_one = True  # whether the last row has one; as long as there is none, the header may

    def add(self, rows: Any) -> None:
        """Look at some rows: a table or record batch of pyarrow, of texts."""
        compute = arrow.require().compute
        if not rows.num_rows:
            return
        self.has_rows = True
        (last,) = rows.slice(rows.num_rows - 1).to_pylist()
        self.ends_in_one = any(re.search(LINES, cell) for cell in last.values())
        for place, column in enumerate(rows.columns):
            if place in self.of_texts:
                continue
            spans = compute.match_substring_regex(column, LINES)
            for cell in column.filter(spans).to_pylist():
                if not self._looks_like_rows(cell, place):
                    self.of_texts.add(place)
                    break
                self.swallowed.setdefault(place, []).append(cell)

    def check(self, notes: list[str]) -> None:
        """Refuse quotes that close too late or never; of one row that may have been swallowed, add a note.

        Raises:
            UserError: with the line in which the quote opens.
        """
        if self.ends_in_one:
            refuse_open(self.file, self.delimiter, self.options)
        for place, found in self.swallowed.items():
            if place in self.of_texts:
                continue
            longest = max(found, key=lambda cell: cell.count("\n"))
            rows = len(longest.splitlines())
            name = self.names[place]
            line = self._line(longest)
            if rows > 2 and name not in self.options.texts:
                raise UserError(
                    f"{self.file}: a quote opens in line {line} and closes {rows - 1} lines later; what "
                    f"is between looks like {rows} rows of the table. Delete the quote, or close it in its "
                    f"line, or set {setting_of(name, 'text')} if it is a text."
                )
            notes.append(f"{name}: the cell in line {line} has {rows} lines that look like rows of the table")

    def _looks_like_rows(self, cell: str, place: int) -> bool:
        """Whether a cell has as many delimiters in each of its lines as rows from this cell to this cell."""
        counts = [line.count(self.delimiter) for line in cell.splitlines()]
        between = len(self.names) - 1
        whole = [between - place, *[between] * (len(counts) - 2), place]
        return between > 0 and counts == whole

    def _line(self, cell: str) -> int:
        """The number of the line in which a cell begins."""
        first = cell.splitlines()[0]
        opened = _spanning(self.file, self.delimiter, self.options)
        return next((line for line, text, _ in opened if text == first), 0)


def refuse_open(file: Path, delimiter: str, options: TableOptions) -> None:
    """Refuse a file that ends within quotes.

    Raises:
        UserError: with the line in which they open.
    """
    for line, _, is_closed in _spanning(file, delimiter, options):
        if not is_closed:
            raise UserError(
                f"{file}: the quote that opens in line {line} is never closed, so that all rows from there "
                "on are one cell. Close it, or delete it."
            )


def _spanning(file: Path, delimiter: str, options: TableOptions) -> Iterator[tuple[int, str, bool]]:
    """The quoted cells that span lines: number of the first line, text in it, and whether the cell closes."""
    opening = re.compile(f'(?:^|{re.escape(delimiter)})"')
    opened: tuple[int, str] | None = None
    stream = arrow.require().input_stream(str(file))
    with io.TextIOWrapper(stream, options.encoding, errors="replace", newline=None) as lines:
        for number, line in enumerate(lines, 1):
            if '"' not in line:
                continue
            text = line.removeprefix("\ufeff") if number == 1 else line
            at = 0
            if opened is not None:
                closed = CLOSING.match(text)
                if closed is None:
                    continue
                yield (*opened, True)
                opened = None
                at = closed.end()
            while opened is None and (found := opening.search(text, at)):
                closed = CLOSING.match(text, found.end())
                if closed is None:
                    opened = number, text[found.end() :].rstrip("\n").replace('""', '"')
                else:
                    at = closed.end()
    if opened is not None:
        yield (*opened, False)
