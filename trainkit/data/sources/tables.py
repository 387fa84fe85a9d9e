"""Tables from CSV and Parquet files, read by pyarrow without guessing at what their cells mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainkit.config.data import thousands_problem
from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.number_marks import plain_numbers
from trainkit.data.sources import arrow, csv_files, paths
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.table_options import TableOptions

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Table", "TableOptions", "check_same_columns", "read_table", "table_format"]


@dataclass(frozen=True)
class Table:
    """The columns of a table.

    Args:
        columns: By name: numbers `[N]` (int64 or float64, NaN where a number is missing), or object arrays
            `[N]` of texts, in which "" is an empty cell.
        source: Where they were read from.
        notes: What was lost or decided while reading, one sentence each.
        files: Name and rows of each file, in their order; () where it is not of files.
    """

    columns: Mapping[str, np.ndarray]
    source: Source
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        rows = getattr(self.columns, "rows", None)  # of columns that are not in memory
        return len(next(iter(self.columns.values()))) if rows is None else int(rows)

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
    if options.thousands is not None and (problem := thousands_problem(options.thousands)):
        raise UserError(f"data.thousands={options.thousands}: expected {problem}.")
    if options.thousands == options.decimal:
        raise UserError(f"data.thousands={options.thousands} is the decimal mark too; set data.decimal.")
    name = table_format(path, options)
    files = paths.files_of(path, name)
    notes: list[str] = []
    read = csv_files.read if name == "csv" else _read_parquet
    parts: list[dict[str, np.ndarray]] = []
    for file in files:
        part = read(file, options, notes)
        if parts:
            check_same_columns(files[0], parts[0], file, part)
        parts.append({column: part[column] for column in (parts[0] if parts else part)})
    columns = {column: _joined(column, [part[column] for part in parts]) for column in parts[0]}
    if not columns or len(next(iter(columns.values()))) == 0:
        raise UserError(f"data.path={path} has no rows; expected a table with a header and rows.")
    counts = [len(next(iter(part.values()))) for part in parts]
    named = tuple((file.name, count) for file, count in zip(files, counts, strict=True))
    return Table(columns, paths.source_of(path, files), tuple(dict.fromkeys(notes)), named)


def table_format(path: PathLike | Sequence[PathLike], options: TableOptions) -> str:
    """`csv` or `parquet`.

    Raises:
        UserError: if there is nothing to read, or no table.
    """
    name = paths.detect_format(path) if options.format == "auto" else options.format
    if name not in ("csv", "parquet"):
        known = did_you_mean(name, ("auto", "csv", "parquet"))
        raise UserError(f"data.path={path} holds {name}, and a table was expected; data.format: {known}")
    return name


def check_same_columns(first: Path, expected: Collection[str], file: Path, part: Collection[str]) -> None:
    """Refuse a file with other columns than the first one.

    Raises:
        UserError: naming the column.
    """
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


def _read_parquet(file: Path, options: TableOptions, notes: list[str]) -> dict[str, np.ndarray]:
    with arrow.reading_parquet(file):
        from pyarrow import parquet

        schema = parquet.read_schema(file)
        csv_files.refuse_twice(file, schema.names)
        arrow.refuse_types(schema, options.ignore)
        table = parquet.read_table(file)
        table.validate(full=True)  # or a text that is no UTF-8 is found when it is used
        return _columns(table, options, notes)


def _columns(table: pyarrow.Table, options: TableOptions, notes: list[str]) -> dict[str, np.ndarray]:
    found = {
        name: arrow.to_numpy(name, table.column(name), notes, any_type=name in options.ignore)
        for name in table.column_names
    }
    return {name: plain_numbers(c, options.decimal, options.thousands) for name, c in found.items()}
