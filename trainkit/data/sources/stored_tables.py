"""Tables that do not fit into memory: kept in a file, and read one column, or some rows, at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError, one_line
from trainkit.core.figures import size
from trainkit.core.files import read_json, shown, write_json
from trainkit.data.sources import arrow, csv_files, paths, row_cache
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.progress import Progress
from trainkit.data.sources.stored_columns import StoredColumns
from trainkit.data.sources.tables import Table, TableOptions, check_same_columns, read_table, table_format

__all__ = ["check_column_fits", "memory_bytes", "read_any_table"]

CELL_BYTES = 100  # that a cell takes in memory, about: a text of its own, and the number that it becomes
COLUMN_SHARE = 0.75  # of the free memory that one column may take
COLUMN_BYTES = 900  # per row, while one column is looked at whose values are all different
TEXT_BYTES = 3  # that a byte of a file of long texts takes in memory, about
BLOCK_ROWS = 65_536
BLOCK_BYTES = 1 << 24  # of a Parquet file that are read at a time
FILE = "table.arrow"


def memory_bytes(rows: int, columns: int, nbytes: int) -> tuple[int, int]:
    """About the bytes that a table takes in memory, and those that a column takes while it is looked at.

    Args:
        rows: Of the table.
        columns: Of the table.
        nbytes: Of its files, unpacked.
    """
    column = COLUMN_BYTES * rows
    return column + max(CELL_BYTES * rows * columns, TEXT_BYTES * nbytes), column


def read_any_table(
    path: PathLike | Sequence[PathLike], options: TableOptions, memory: int | None, cache: str | None
) -> Table:
    """Read a table into memory, as `read_table` does; one that does not fit into a file, once.

    Args:
        path: As for `read_table`.
        options: How to read it.
        memory: Bytes that it may take in memory; None: a quarter of what is free.
        cache: Folder of such files; None: in the user's cache.

    Raises:
        UserError: for what cannot be read, or a table of which not even one column fits into memory.
    """
    name = table_format(path, options)
    files = paths.files_of(path, name)
    nbytes, column = _table_bytes(files, name, options)
    if row_cache.fits(nbytes, memory):
        return read_table(path, options)
    check_column_fits(path, column, memory)
    folder = row_cache.folder_of(cache)
    content = row_cache.known_checksum(files, folder)
    entry = row_cache.converted(
        folder,
        paths.source_name(path),
        content,
        (name, options) if len(files) == 1 else (name, options, "rows of each file"),
        nbytes // 4,
        lambda beside: _convert(files, name, options, beside),
    )
    facts = read_json(entry / "table.json")
    columns = StoredColumns(entry / FILE, facts["rows"], options)
    where = f"the table of about {size(nbytes)} is read from {shown(entry)}, not held in memory"
    source = paths.source_of(path, files, content)
    counts = zip(files, facts.get("rows_of_files", [facts["rows"]]), strict=True)
    named = tuple((file.name, count) for file, count in counts)
    return Table(columns, source, (*facts["notes"], where), named)


def check_column_fits(path: PathLike | Sequence[PathLike], nbytes: int, memory: int | None) -> None:
    """Refuse rows of which not even one column can be looked at in memory.

    Args:
        path: Where the rows are.
        nbytes: That a column takes, as `memory_bytes` gives it.
        memory: Bytes that may be taken; None: by what is free.

    Raises:
        UserError: with its size.
    """
    if not row_cache.fits(nbytes, memory, COLUMN_SHARE):
        raise UserError(
            f"data.path={path}: one of its columns takes about {size(nbytes)} in memory, more "
            "than is free, or than data.memory allows. Allow more, or take fewer rows."
        )


def _table_bytes(files: Sequence[Path], name: str, options: TableOptions) -> tuple[int, int]:
    sizes = csv_files.sizes if name == "csv" else _parquet_sizes
    found = [sizes(file, options) for file in files]
    parts = [memory_bytes(*each) for each in found]
    return sum(nbytes for nbytes, _ in parts), sum(column for _, column in parts)


def _parquet_sizes(file: Path, options: TableOptions) -> tuple[int, int, int]:
    """Rows, columns and unpacked bytes of a file."""
    arrow.require()
    from pyarrow import parquet

    try:
        about = parquet.read_metadata(file)
    except Exception:  # what it is is told when it is read
        return 0, 0, 0
    nbytes = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    return int(about.num_rows), int(about.num_columns), nbytes


def _convert(files: Sequence[Path], name: str, options: TableOptions, folder: Path) -> None:
    """Write the cells of all files, and what was lost or decided."""
    pa = arrow.require()
    notes: list[str] = []
    counts = [0] * len(files)
    total = sum(file.stat().st_size for file in files)
    with Progress("Converting", paths.source_name(files), total, sys.stderr.write) as progress:
        schema = None
        with pa.OSFile(str(folder / FILE), "wb") as sink:
            writer = None
            for i, file in enumerate(files):
                read = csv_files.batches if name == "csv" else _parquet_batches
                for batch in read(file, options, notes):
                    if writer is None:
                        schema = batch.schema
                        writer = pa.ipc.new_file(sink, schema)
                    writer.write_batch(_alike(batch, schema, files[0], file))
                    counts[i] += batch.num_rows
                    progress.add(batch.nbytes)
            rows = sum(counts)
            if writer is None or rows == 0:
                raise UserError(f"{files[0]} has no rows; expected a table with a header and rows.")
            writer.close()
    columns = StoredColumns(folder / FILE, rows, options)
    for column in columns:
        columns.collect_notes(column, notes)
    facts = {"rows": rows, "rows_of_files": counts, "notes": list(dict.fromkeys(notes))}
    write_json(folder / "table.json", facts)


def _alike(batch: Any, schema: Any, first: Path, file: Path) -> Any:
    """Rows with the columns of the first ones, in their order and of their types."""
    pa = arrow.require()
    check_same_columns(first, schema.names, file, batch.schema.names)
    ordered = pa.Table.from_batches([batch]).select(schema.names)
    try:
        (found,) = ordered.cast(schema).combine_chunks().to_batches()
    except pa.ArrowInvalid as error:
        raise UserError(
            f"data.path: the columns of {file} have not the types of those of {first}: "
            f"{one_line(str(error))}. Expected the same types in all files."
        ) from error
    return found


def _parquet_batches(file: Path, options: TableOptions, notes: list[str]) -> Iterator[Any]:
    with arrow.reading_parquet(file):
        from pyarrow import parquet

        with parquet.ParquetFile(file) as opened:
            csv_files.refuse_twice(file, opened.schema_arrow.names)
            arrow.refuse_types(opened.schema_arrow, options.ignore)
            rows, _, nbytes = _parquet_sizes(file, options)
            few = BLOCK_BYTES * rows // max(1, nbytes)  # of long texts
            for batch in opened.iter_batches(max(1, min(BLOCK_ROWS, few))):
                batch.validate(full=True)
                yield _without_dictionaries(batch)


def _without_dictionaries(batch: Any) -> Any:
    """Columns of a dictionary's values, which a file holds only where all blocks have the same."""
    pa = arrow.require()
    columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
