"""Texts in files that do not fit into memory: put into one file, once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from trainkit.core.figures import size
from trainkit.core.files import read_json, shown, write_json
from trainkit.data.sources import arrow, paths, row_cache
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.progress import Progress
from trainkit.data.sources.stored_columns import StoredColumns
from trainkit.data.sources.stored_tables import check_column_fits, memory_bytes
from trainkit.data.sources.table_options import TableOptions
from trainkit.data.sources.tables import Table
from trainkit.data.sources.texts import TextFiles, read_texts

__all__ = ["read_any_texts"]

BLOCK_BYTES = 1 << 24  # of texts that are written at a time
BLOCK_ROWS = 65_536
FILE = "texts.arrow"


def read_any_texts(
    path: PathLike | Sequence[PathLike],
    *,
    labelled: bool = True,
    encoding: str = "utf-8",
    skip_bad: bool = False,
    memory: int | None = None,
    cache: str | None = None,
) -> Table:
    """Read text files into memory, as `read_texts` does; those that do not fit into a file, once.

    Args:
        path: As for `read_texts`, as are `labelled`, `encoding` and `skip_bad`.
        memory: Bytes that they may take in memory; None: a quarter of what is free.
        cache: Folder of such files; None: in the user's cache.

    Raises:
        UserError: for what cannot be read, or so many texts that not even their names fit into memory.
    """
    reader = TextFiles(path, labelled=labelled, encoding=encoding, skip_bad=skip_bad)
    total = sum(paths.state_of(file).st_size for file in reader.files)
    nbytes, column = memory_bytes(len(reader.files), 3, total)
    if row_cache.fits(nbytes, memory):
        return read_texts(path, labelled=labelled, encoding=encoding, skip_bad=skip_bad)
    check_column_fits(path, column, memory)
    folder = row_cache.folder_of(cache)
    content = row_cache.known_checksum(reader.files, folder)
    name = paths.source_name(path)
    reading = ("text", labelled, encoding, skip_bad)
    entry = row_cache.converted(folder, name, content, reading, total, partial(_convert, reader, total))
    facts = read_json(entry / "texts.json")
    files = [reader.files[row] for row in np.load(entry / "kept.npy")]
    options = TableOptions(encoding=encoding, skip_bad=skip_bad)
    known = {"path": np.array([str(file) for file in files], dtype=object)}
    columns = StoredColumns(entry / FILE, len(files), options, known)
    where = f"{size(total)} of texts are read from {shown(entry)}, not held in memory"
    source = paths.source_of(path, files, facts["sha256"] or content)
    return Table(columns, source, (*facts["notes"], where))


def _convert(reader: TextFiles, total: int, folder: Path) -> None:
    """Write the texts, and what is known of them."""
    pa = arrow.require()
    names = ("path", "text", *reader.columns)
    schema = pa.schema([(name, pa.large_string()) for name in names])
    rows: list[tuple[str, ...]] = []
    held = 0
    with (
        Progress("Converting", f"{len(reader.files):,} texts", total, sys.stderr.write) as progress,
        pa.OSFile(str(folder / FILE), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):

        def write() -> None:
            columns = [pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)]
            if rows:
                writer.write_batch(pa.record_batch(columns, schema=schema))
            rows.clear()

        for number, text in reader.texts():
            file = reader.files[number]
            rows.append((str(file), text, *(str(column[number]) for column in reader.columns.values())))
            held += len(text)
            if held >= BLOCK_BYTES or len(rows) == BLOCK_ROWS:
                write()
                held = 0
            progress.add(file.stat().st_size)
        write()
    np.save(folder / "kept.npy", np.array(reader.kept))
    some = len(reader.kept) < len(reader.files)
    digest = paths.checksum([reader.files[row] for row in reader.kept]) if some else ""
    write_json(folder / "texts.json", {"notes": list(reader.notes), "sha256": digest})
