"""Images from files: one folder per class, a table with paths, or files without labels."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.figures import size
from trainkit.core.files import read_json, shown, write_json
from trainkit.data.sources import paths, row_cache
from trainkit.data.sources.class_folders import labelled_files
from trainkit.data.sources.image_rows import Decoder, by_channels, first_shape
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.progress import Progress
from trainkit.data.sources.row_cache import RowFile
from trainkit.data.sources.tables import Table, TableOptions, read_table
from trainkit.data.splits.duplicates import fingerprints

__all__ = ["ImageOptions", "Images", "read_images"]

PATH_COLUMNS = ("path", "file", "filename", "image")  # where a table has its paths, unless one is named
CHANNELS = (0, 1, 3)


@dataclass(frozen=True)
class ImageOptions:
    """How to read images.

    Args:
        size: Height and width that all are scaled to; None: all must have the same.
        channels: 1 for gray, 3 for RGB, 0: gray if all are.
        labelled: Whether the folders are classes.
        path_column: Column of a table with the paths, relative to the table; "": `path`, `file`, `filename`
            or `image`.
        skip_bad: Whether images that cannot be read are left out, and not refused.
        table: How to read a table.
        memory: Bytes that the decoded images may take in memory; more are decoded into a file. None: a
            quarter of what is free.
        cache: Folder of such files; "": in the user's cache.
    """

    size: tuple[int, int] | None = None
    channels: int = 0
    labelled: bool = True
    path_column: str = ""
    skip_bad: bool = False
    table: TableOptions = field(default_factory=TableOptions)
    memory: int | None = None
    cache: str = ""


@dataclass(frozen=True)
class Images:
    """Images, and what is known about each.

    Args:
        x: uint8 `[N, H, W, C]`, from 0 to 255; those that do not fit into memory lie in a file, which is
            memory-mapped.
        table: A row per image: `path`, `label` and `split` from folders, or the columns of the table.
        prints: Fingerprint of each image `[N]`, where it is known already.
    """

    x: np.ndarray
    table: Table
    prints: np.ndarray | None = None


def read_images(path: PathLike | Sequence[PathLike], options: ImageOptions | None = None) -> Images:
    """Read PNG, JPEG, GIF (the first frame), BMP and WebP files.

    Transparency is dropped, with a note. Marks of the camera's orientation are not followed, as in Keras.

    Args:
        path: A folder with one folder per class; a table, or a folder with one table and the images it names;
            without labels, files or a folder of files.
        options: How to read them.

    Raises:
        UserError: if there are no images, some cannot be read, or their sizes differ and no size is given.
    """
    options = options or ImageOptions()
    if options.channels not in CHANNELS:
        raise UserError(f"data.channels={options.channels}; expected 0 (by the images), 1 (gray) or 3 (RGB).")
    files, columns, notes = _listed(path, options)
    shape = first_shape(files, options.size, options.channels)
    nbytes = len(files) * math.prod(shape)
    if not row_cache.fits(nbytes, options.memory):
        return _cached(path, options, files, columns, notes, nbytes)
    decoder = Decoder(files, options.size, options.channels, skip_bad=options.skip_bad)

    def decoded(channels: int) -> np.ndarray:
        room = np.empty((len(files), *shape[:2], channels), np.uint8)
        count = 0
        for count, image in enumerate(decoder.images(channels), 1):
            room[count - 1] = image
        return room[:count]

    x = by_channels(options.channels, decoded)
    kept = np.array(decoder.kept)
    source = paths.source_of(path, [files[row] for row in kept])
    table = Table({name: column[kept] for name, column in columns.items()}, source, (*notes, *decoder.notes))
    return Images(x, table)


def _cached(
    path: PathLike | Sequence[PathLike],
    options: ImageOptions,
    files: Sequence[Path],
    columns: Mapping[str, np.ndarray],
    notes: tuple[str, ...],
    nbytes: int,
) -> Images:
    """Images that do not fit into memory, decoded into a file once."""
    folder = row_cache.folder_of(options.cache)
    content = row_cache.known_checksum(files, folder)
    reading = ("images", options.size, options.channels, options.skip_bad)
    name = paths.source_name(path)
    convert = partial(_convert, files, options, nbytes)
    entry = row_cache.converted(folder, name, content, reading, nbytes, convert)
    x = np.load(entry / "x.npy", mmap_mode="r")
    facts = read_json(entry / "images.json")
    kept = np.load(entry / "kept.npy")
    source = paths.source_of(path, [files[row] for row in kept], facts["sha256"] or content)
    where = f"{size(x.nbytes)} of decoded images are read from {shown(entry)}, not held in memory"
    all_notes = (*notes, *facts["notes"], where)
    table = Table({name: column[kept] for name, column in columns.items()}, source, all_notes)
    return Images(x, table, np.load(entry / "prints.npy"))


def _convert(files: Sequence[Path], options: ImageOptions, nbytes: int, folder: Path) -> None:
    """Write the decoded images, and what is known of them."""
    decoder = Decoder(files, options.size, options.channels, skip_bad=options.skip_bad)
    shape = first_shape(files, options.size, options.channels)
    prints: list[np.ndarray] = []

    def write(channels: int) -> None:
        prints.clear()
        with (
            Progress("Converting", f"{len(files):,} images", nbytes, sys.stderr.write) as progress,
            RowFile(folder / "x.npy", (*shape[:2], channels), np.uint8) as file,
        ):
            for image in decoder.images(channels):
                file.append(image[None])
                prints.append(fingerprints([image[None]]))
                progress.add(image.size)

    by_channels(options.channels, write)
    np.save(folder / "kept.npy", np.array(decoder.kept))
    np.save(folder / "prints.npy", np.concatenate(prints))
    some = len(decoder.kept) < len(files)
    digest = paths.checksum([files[row] for row in decoder.kept]) if some else ""
    write_json(folder / "images.json", {"notes": list(decoder.notes), "sha256": digest})


def _listed(
    path: PathLike | Sequence[PathLike], options: ImageOptions
) -> tuple[list[Path], Mapping[str, np.ndarray], tuple[str, ...]]:
    """The image files, and a row for each."""
    table = _table_at(path)
    if table is None:
        found = labelled_files(path, "images", labelled=options.labelled)
        names = np.array([str(file) for file in found.files], dtype=object)
        return found.files, {"path": names, **found.columns}, found.notes
    read = read_table(table, options.table)
    usual = {column.lower(): column for column in read.columns}
    name = options.path_column or next((usual[known] for known in PATH_COLUMNS if known in usual), "")
    if name not in read.columns:
        what = f"no column {name!r}" if name else f"none of the columns {', '.join(PATH_COLUMNS)}"
        hint = did_you_mean(name or PATH_COLUMNS[0], list(read.columns))
        raise UserError(f"data.path_column: {table} has {what} with the paths of the images; {hint}")
    files = [table.parent / str(file) for file in read.columns[name]]
    return files, read.columns, read.notes


def _table_at(path: PathLike | Sequence[PathLike]) -> Path | None:
    """The table that lists the images, None if folders or files do."""
    found = paths.resolve(path)
    if len(found) != 1:
        return None
    endings = (*paths.ENDINGS["csv"], *paths.ENDINGS["parquet"])
    candidates = sorted(found[0].iterdir()) if found[0].is_dir() else found
    tables = [file for file in candidates if file.is_file() and file.name.lower().endswith(endings)]
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables[:3])
        raise UserError(
            f"data.path={path} has {len(tables)} tables ({names}); set data.path to the right one."
        )
    return tables[0] if tables else None
