"""CSV files: their header, and their cells as texts, by pyarrow."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.errors import UserError, one_line
from trainkit.data.number_marks import plain_numbers
from trainkit.data.sources import arrow, paths, quotes
from trainkit.data.sources.table_options import TableOptions

__all__ = ["batches", "read", "refuse_twice", "sizes"]

DELIMITERS = (",", ";", "\t", "|")
LOOKED_AT = 20  # rows below the header
HEAD_BYTES = 1 << 20  # in which the header must end
BLOCK_BYTES = 1 << 24  # longest row
OTHER_FILES = {  # by the bytes that they begin with
    b"PK\x03\x04": "packed as .zip is, or a sheet: unpack it, or use .csv.gz; save a sheet as CSV",
    b"\xfd7zXZ\0": "packed as .xz is: unpack it, or use .csv.gz",
    b"7z\xbc\xaf\x27\x1c": "packed as .7z is: unpack it, or use .csv.gz",
    b"\x1f\x8b": "packed as .gz is: give it a name that ends in .csv.gz",
    b"BZh91AY&SY": "packed as .bz2 is: give it a name that ends in .csv.bz2",
    b"\x28\xb5\x2f\xfd": "packed as .zst is: give it a name that ends in .csv.zst",
    b"PAR1\x15": "Parquet: set data.format=parquet",
}
GROWTH = 5  # of a compressed file, about


def read(file: Path, options: TableOptions, notes: list[str]) -> dict[str, np.ndarray]:
    """The columns of a file, in memory: texts `[N]`.

    Args:
        file: The file.
        options: How to read it.
        notes: Takes a sentence for what is lost.

    Raises:
        UserError: for a file that cannot be read.
    """
    from pyarrow import csv as arrow_csv

    with _settings(file, options, notes) as (settings, spanning):
        table = arrow_csv.read_csv(file, **settings)
        spanning.add(table)
    columns = {
        name: arrow.to_numpy(name, table.column(name), notes, any_type=name in options.ignore)
        for name in table.column_names
    }
    return {name: plain_numbers(c, options.decimal, options.thousands) for name, c in columns.items()}


def batches(file: Path, options: TableOptions, notes: list[str]) -> Iterator[Any]:
    """The rows of a file, some at a time: record batches of texts. The arguments are those of `read`.

    Raises:
        UserError: for a file that cannot be read.
    """
    from pyarrow import csv as arrow_csv

    with (
        _settings(file, options, notes) as (settings, spanning),
        arrow_csv.open_csv(file, **settings) as reader,
    ):
        for batch in reader:
            spanning.add(batch)
            yield batch


def sizes(file: Path, options: TableOptions) -> tuple[int, int, int]:
    """How many rows a file has, about, by the lines that it begins with; its columns, and unpacked bytes."""
    text, names, _, is_all = _begin(file, options)
    lines = max(text.count("\n"), text.count("\r"))
    if is_all:
        return lines, len(names), len(text)
    whole = file.stat().st_size * (GROWTH if file.name.endswith(paths.PACKED) else 1)
    return int(whole / HEAD_BYTES * max(1, lines)), len(names), whole


@contextmanager
def _settings(
    file: Path, options: TableOptions, notes: list[str]
) -> Iterator[tuple[dict[str, Any], quotes.SpanningCells]]:
    """How pyarrow reads a file, and what looks at its rows; what the block raises is told in one line."""
    pa = arrow.require()
    from pyarrow import csv as arrow_csv

    names, delimiter = _header(file, options, notes)
    spanning = quotes.SpanningCells(file, names, delimiter, options)
    skipped: list[Any] = []

    def skip(row: Any) -> str:
        skipped.append(row)
        return "skip" if options.skip_bad else "error"

    undecoded: list[BaseException] = []
    hook = sys.unraisablehook

    def keep(raised: Any) -> None:
        if isinstance(raised.exc_value, UnicodeError):
            undecoded.append(raised.exc_value)
        else:
            hook(raised)

    sys.unraisablehook = keep  # of a bad row that is no text, pyarrow would print a traceback
    try:
        settings = {
            "read_options": arrow_csv.ReadOptions(
                use_threads=False,  # or an error does not know its row
                block_size=BLOCK_BYTES,
                encoding=options.encoding,
                column_names=names,
                skip_rows_after_names=1 if options.header else 0,
            ),
            "parse_options": arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            "convert_options": arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        }
        yield settings, spanning
        if skipped and "\n" in str(skipped[-1].text):
            quotes.refuse_open(file, delimiter, options)
        if skipped and not spanning.has_rows:
            text = _begin(file, options)[0]
            raise _no_header(file, text.splitlines()[0], len(names), skipped[0].actual_columns)
        spanning.check(notes)
    except (pa.ArrowInvalid, UnicodeError, LookupError) as error:
        if not undecoded and isinstance(error, pa.ArrowInvalid):
            quotes.refuse_open(file, delimiter, options)
        if skipped and not options.skip_bad:
            raise UserError(_bad_row(file, options, skipped[0])) from error
        raise UserError(_damaged(file, options, undecoded[0] if undecoded else error)) from error
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror or error}. Check its permissions.") from error
    finally:
        sys.unraisablehook = hook
    if skipped:
        first = one_line(str(skipped[0].text))
        notes.append(
            f"{len(skipped)} rows of {file.name} have not {len(names)} cells and are left out: {first!r}"
        )


def _damaged(file: Path, options: TableOptions, error: BaseException) -> str:
    reason = one_line(str(error)).rstrip(".")
    if "UTF8" in reason or isinstance(error, UnicodeError | LookupError):
        return f"Cannot read {file} as {options.encoding}: {reason}. Set data.encoding, e.g. latin-1."
    return f"Cannot read {file} as CSV: {reason}. Expected a header and rows with the same number of cells."


def _bad_row(file: Path, options: TableOptions, row: Any) -> str:
    number = row.number - options.header  # pyarrow counts the header
    return (
        f"{file}: row {number} has {row.actual_columns} cells, expected {row.expected_columns}: "
        f"{quoted(row.text)}. Mend the row, or leave such rows out by data.skip_bad=true."
    )


def _header(file: Path, options: TableOptions, notes: list[str]) -> tuple[list[str], str]:
    """The names of the columns and the delimiter."""
    _, first, delimiter, _ = _begin(file, options)
    if not options.header:
        return [f"column_{i + 1}" for i in range(len(first))], delimiter
    return _names(file, first, notes), delimiter


def _begin(file: Path, options: TableOptions) -> tuple[str, list[str], str, bool]:
    """What a file begins with, the cells of its first row, the delimiter, and whether that is all of it."""
    pa = arrow.require()
    try:
        with pa.input_stream(str(file)) as stream:  # opens compressed files too
            head = stream.read(HEAD_BYTES)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"Cannot read {file}: {one_line(str(error)).rstrip('.')}. Check the file.") from error
    head = bytes(head)
    for magic, advice in OTHER_FILES.items():
        if head.startswith(magic):
            raise UserError(f"{file} is no CSV file, but {advice}.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and "16" not in options.encoding:
        raise UserError(f"{file} is written as UTF-16, not as {options.encoding}: set data.encoding=utf-16.")
    try:
        text = head.decode(options.encoding, errors="replace").removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(f"data.encoding={options.encoding} is no encoding; e.g. utf-8, latin-1.") from error
    if not text.strip():
        raise UserError(f"{file} is empty; expected a table with a header and rows.")
    first_line = text.splitlines()[0]
    if not first_line.strip():
        raise UserError(f"{file} begins with an empty line; expected the names of its columns. Delete it.")
    delimiter = options.delimiter or max(DELIMITERS, key=first_line.count)
    lines = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    try:
        row = next(lines)
    except csv.Error as error:
        raise UserError(f"Cannot read the first row of {file}: {error}. Expected a CSV file.") from error
    _refuse_undecoded(file, head, options, lines.line_num)
    is_all = len(head) < HEAD_BYTES
    if options.header and not options.skip_bad:  # or rows that can be read may follow
        _refuse_other_rows(file, first_line, len(row), lines, is_all)
    return text, [cell.strip() for cell in row], delimiter, is_all


def _refuse_other_rows(
    file: Path, first_line: str, cells: int, lines: Iterator[list[str]], is_all: bool
) -> None:
    """Refuse a first line that has another number of cells than all rows below: a remark, or `sep=;`."""
    try:
        below = list(itertools.islice(lines, LOOKED_AT))
    except csv.Error:  # told when the row is read
        return
    if not is_all and next(lines, None) is None:
        del below[-1:]  # which is cut off
    below = [row for row in below if row]
    lengths = {len(row) for row in below}
    if len(lengths) != 1 or cells in lengths or any("\n" in cell for row in below for cell in row):
        return
    raise _no_header(file, first_line, cells, lengths.pop())


def _no_header(file: Path, first_line: str, cells: int, below: int) -> UserError:
    return UserError(
        f"{file}: the first line, {quoted(first_line)}, is read as the names of the columns and has {cells} "
        f"cells, the rows below have {below}. Delete the lines above the names, or mend that one."
    )


def _refuse_undecoded(file: Path, head: bytes, options: TableOptions, lines: int) -> None:
    """Refuse bytes that are no text in the first lines of a file; pyarrow refuses them in the others."""
    try:
        head.decode(options.encoding)
    except UnicodeDecodeError as error:
        before = io.StringIO(head[: error.start].decode(options.encoding), newline=None)
        if sum(line.endswith("\n") for line in before) < lines:
            raise UserError(_damaged(file, options, error)) from error


def _names(file: Path, header: Sequence[str], notes: list[str]) -> list[str]:
    if all(_is_number(cell) for cell in header):
        raise UserError(
            f"{file} begins with numbers ({', '.join(header[:3])}), not with the names of its columns. "
            "Add a header, or set data.header=false to call them column_1, column_2 and so on."
        )
    names = [cell or f"column_{i + 1}" for i, cell in enumerate(header)]
    is_a_row = any(_is_number(cell) for cell in header)
    refuse_twice(file, names, "; data.header=false if there is no header" if is_a_row else "")
    numbers = [cell for cell in header if _is_number(cell)]
    if numbers:
        notes.append(f"the column {numbers[0]} is named by a number: data.header=false if there is no header")
    unnamed = [name for name, cell in zip(names, header, strict=True) if not cell]
    notes += [f"a column without a name is called {name}" for name in unnamed]
    return names


def refuse_twice(file: Path, names: Sequence[str], remedy: str = "") -> None:
    """Refuse columns of the same name.

    Args:
        file: That is read.
        names: Of its columns.
        remedy: What helps besides another name.

    Raises:
        UserError: naming the first.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"{file} has two columns named {twice!r}; expected different names. Rename one{remedy}."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
