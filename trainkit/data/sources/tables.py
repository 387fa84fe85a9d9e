"""Tables from CSV and Parquet files, read by pyarrow without guessing at what their cells mean."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean, one_line
from trainkit.data import cells
from trainkit.data.sources import arrow, paths
from trainkit.data.sources.paths import PathLike

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Table", "TableOptions", "read_table"]

DELIMITERS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 20  # in which the header must end
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?", re.ASCII)
BLOCK_BYTES = 1 << 24  # longest row


@dataclass(frozen=True)
class TableOptions:
    """How to read the files of a table.

    Args:
        format: `csv`, `parquet`, or `auto`: by the endings.
        delimiter: Between the cells of a CSV file; None: the most frequent of `, ; tab |` in the header.
        encoding: Of a CSV file.
        header: Whether the first line of a CSV file has the columns' names.
        decimal: Decimal mark of a CSV file; with `,`, cells such as `1,5` become `1.5`.
        skip_bad: Whether CSV rows with more or fewer cells than the header are left out, and not refused.
        ignore: Columns that nothing will use, so that they may have any type.
    """

    format: str = "auto"
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    decimal: str = "."
    skip_bad: bool = False
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The columns of a table, in memory.

    Args:
        columns: By name: numbers `[N]` (int64 or float64, NaN where a number is missing), or object arrays
            `[N]` of texts, in which "" is an empty cell.
        source: Where they were read from.
        notes: What was lost or decided while reading, one sentence each.
    """

    columns: Mapping[str, np.ndarray]
    source: Source
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, rows: np.ndarray) -> Table:
        """The rows of the given numbers `[n]`."""
        return Table({name: column[rows] for name, column in self.columns.items()}, self.source, self.notes)


def read_table(path: PathLike | Sequence[PathLike], options: TableOptions | None = None) -> Table:
    """Read a table from one file, or from several with the same columns.

    CSV cells stay texts, trimmed of blanks around them: an id keeps its zeros and "NA" stays "NA". What they
    mean is the schema's to say. Parquet columns keep their types; dates become texts in ISO 8601.

    Args:
        path: A file, a folder, a pattern such as `data/*.csv`, or several of them. Files of a folder are read
            in the order of their names.
        options: How to read them.

    Raises:
        UserError: if there is nothing to read, a file is damaged, or the files have other columns.
    """
    options = options or TableOptions()
    if options.decimal not in (".", ","):
        raise UserError(f"data.decimal={options.decimal} is no decimal mark; expected . or ,")
    name = paths.detect_format(path) if options.format == "auto" else options.format
    if name not in ("csv", "parquet"):
        known = did_you_mean(name, ("auto", "csv", "parquet"))
        raise UserError(f"data.path={path} holds {name}, and a table was expected; data.format: {known}")
    files = paths.files_of(path, name)
    notes: list[str] = []
    read = _read_csv if name == "csv" else _read_parquet
    parts: list[dict[str, np.ndarray]] = []
    for file in files:
        part = read(file, options, notes)
        if parts:
            _check_same_columns(files[0], parts[0], file, part)
        parts.append({column: part[column] for column in (parts[0] if parts else part)})
    columns = {column: _joined(column, [part[column] for part in parts]) for column in parts[0]}
    if not columns or len(next(iter(columns.values()))) == 0:
        raise UserError(f"data.path={path} has no rows; expected a table with a header and rows.")
    return Table(columns, paths.source_of(path, files), tuple(dict.fromkeys(notes)))


def _check_same_columns(
    first: Path, expected: Mapping[str, np.ndarray], file: Path, part: Mapping[str, np.ndarray]
) -> None:
    for name in [*expected, *part]:
        if (name in expected) != (name in part):
            lacks, has = (file, first) if name in expected else (first, file)
            raise UserError(
                f"data.path: {lacks} has no column {name!r}, which {has} has; "
                "expected the same columns in all files."
            )


def _joined(name: str, parts: list[np.ndarray]) -> np.ndarray:
    kinds = {part.dtype.kind for part in parts}
    if "O" in kinds and len(kinds) > 1:
        raise UserError(
            f"data.columns.{name}: numbers in one file and texts in another; expected one kind in all."
        )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _read_csv(file: Path, options: TableOptions, notes: list[str]) -> dict[str, np.ndarray]:
    pa = arrow.require()
    from pyarrow import csv as arrow_csv

    names, delimiter = _header(file, options, notes)
    skipped: list[Any] = []

    def skip(row: Any) -> str:
        skipped.append(row)
        return "skip" if options.skip_bad else "error"

    try:
        table = arrow_csv.read_csv(
            file,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,  # or an error does not know its row
                block_size=BLOCK_BYTES,
                encoding=options.encoding,
                column_names=names,
                skip_rows_after_names=1 if options.header else 0,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeError, LookupError) as error:
        raise UserError(_damaged(file, options, error)) from error
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror or error}. Check its permissions.") from error
    if skipped:
        first = one_line(str(skipped[0].text))
        notes.append(
            f"{len(skipped)} rows of {file.name} have not {len(names)} cells and are left out: {first!r}"
        )
    columns = _columns(table, options, notes)
    if options.decimal == ",":
        columns = {name: _with_points(column) for name, column in columns.items()}
    return columns


def _damaged(file: Path, options: TableOptions, error: Exception) -> str:
    reason = one_line(str(error))
    if "UTF8" in reason or isinstance(error, UnicodeError | LookupError):
        return f"Cannot read {file} as {options.encoding}: {reason}. Set data.encoding, e.g. latin-1."
    if "Expected" in reason and "columns" in reason:
        return f"{file}: {reason}. Mend the row, or leave such rows out by data.skip_bad=true."
    return f"Cannot read {file} as CSV: {reason}. Expected a header and rows with the same number of cells."


def _header(file: Path, options: TableOptions, notes: list[str]) -> tuple[list[str], str]:
    """The names of the columns and the delimiter."""
    pa = arrow.require()
    try:
        with pa.input_stream(str(file)) as stream:  # opens compressed files too
            head = stream.read(HEAD_BYTES)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"Cannot read {file}: {one_line(str(error))}. Check the file.") from error
    try:
        text = bytes(head).decode(options.encoding, errors="replace").removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(f"data.encoding={options.encoding} is no encoding; e.g. utf-8, latin-1.") from error
    lines = text.splitlines()
    if not lines:
        raise UserError(f"{file} is empty; expected a table with a header and rows.")
    delimiter = options.delimiter or max(DELIMITERS, key=lines[0].count)
    first = [cell.strip() for cell in next(csv.reader(io.StringIO(text), delimiter=delimiter))]
    if not options.header:
        return [f"column_{i + 1}" for i in range(len(first))], delimiter
    return _names(file, first, notes), delimiter


def _names(file: Path, header: Sequence[str], notes: list[str]) -> list[str]:
    if all(_is_number(cell) for cell in header):
        raise UserError(
            f"{file} begins with numbers ({', '.join(header[:3])}), not with the names of its columns. "
            "Add a header, or set data.header=false to call them column_1, column_2 and so on."
        )
    names = [cell or f"column_{i + 1}" for i, cell in enumerate(header)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{file} has two columns named {twice!r}; expected different names. Rename one.")
    unnamed = [name for name, cell in zip(names, header, strict=True) if not cell]
    notes += [f"a column without a name is called {name}" for name in unnamed]
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(file: Path, options: TableOptions, notes: list[str]) -> dict[str, np.ndarray]:
    pa = arrow.require()
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        reason = one_line(str(error))
        raise UserError(f"Cannot read {file} as Parquet: {reason}. Check the file.") from error
    return _columns(table, options, notes)


def _columns(table: pyarrow.Table, options: TableOptions, notes: list[str]) -> dict[str, np.ndarray]:
    return {
        name: arrow.to_numpy(name, table.column(name), notes, any_type=name in options.ignore)
        for name in table.column_names
    }


def _with_points(column: np.ndarray) -> np.ndarray:
    """A text column with a point in place of the comma in cells such as `1,5`."""
    values, codes = cells.distinct(column)
    pointed = [value.replace(",", ".") if DECIMAL_COMMA.fullmatch(value) else value for value in values]
    return np.asarray(np.array(pointed, dtype=object)[codes])
