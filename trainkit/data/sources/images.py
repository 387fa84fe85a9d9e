"""Images from files: one folder per class, a table with paths, or files without labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.files import shown
from trainkit.data.sources import paths
from trainkit.data.sources.bad_files import refuse_bad
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.tables import Table, TableOptions, read_table

__all__ = ["ImageOptions", "Images", "read_images"]

PATH_COLUMNS = ("path", "file", "filename", "image")  # where a table has its paths, unless one is named
CHANNELS = (0, 1, 3)
TENSORFLOW_FRAME = re.compile(r"\{\{.*?\}\}|\[Op:\w+\]")  # what TensorFlow puts around a reason


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
    """

    size: tuple[int, int] | None = None
    channels: int = 0
    labelled: bool = True
    path_column: str = ""
    skip_bad: bool = False
    table: TableOptions = field(default_factory=TableOptions)


@dataclass(frozen=True)
class Images:
    """Images in memory, and what is known about each.

    Args:
        x: uint8 `[N, H, W, C]`, from 0 to 255.
        table: A row per image: `path` and `label` from class folders, or the columns of the table.
    """

    x: np.ndarray
    table: Table


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
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(lambda file: _decode(file, options.size), files))
    bad = [(shown(file), image) for file, image in zip(files, decoded, strict=True) if isinstance(image, str)]
    notes = (*notes, *refuse_bad(bad, len(files), "images", skip_bad=options.skip_bad))
    kept = np.array([row for row, image in enumerate(decoded) if not isinstance(image, str)])
    images = [image for image in decoded if not isinstance(image, str)]
    names = [str(files[row]) for row in kept]
    _check_sizes(images, names)
    transparent = sum(image.shape[-1] in (2, 4) for image in images)
    if transparent:
        notes = (*notes, f"transparency is dropped in {transparent} images")
    channels = options.channels or (1 if all(image.shape[-1] <= 2 for image in images) else 3)
    x = np.stack([_with_channels(image, channels) for image in images])
    source = paths.source_of(path, [files[row] for row in kept])
    return Images(x, Table({name: column[kept] for name, column in columns.items()}, source, notes))


def _listed(
    path: PathLike | Sequence[PathLike], options: ImageOptions
) -> tuple[list[Path], Mapping[str, np.ndarray], tuple[str, ...]]:
    """The image files, and a row for each."""
    table = _table_at(path)
    if table is None:
        files, labels = paths.labelled_files(path, "images", labelled=options.labelled)
        columns = {"path": np.array([str(file) for file in files], dtype=object)}
        return files, columns | ({"label": labels} if options.labelled else {}), ()
    read = read_table(table, options.table)
    name = options.path_column or next((name for name in PATH_COLUMNS if name in read.columns), "")
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


def _decode(file: Path, size: tuple[int, int] | None) -> np.ndarray | str:
    """The image uint8 `[H, W, C]`, or why it cannot be read."""
    import tensorflow as tf

    try:
        image = tf.io.decode_image(file.read_bytes(), channels=0, expand_animations=False)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
        return TENSORFLOW_FRAME.sub("", str(reason)).strip()
    if size is not None and tuple(image.shape[:2]) != tuple(size):
        resized = tf.image.resize(image, size, method="bilinear", antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    pixels: np.ndarray = image.numpy()
    return pixels


def _check_sizes(images: Sequence[np.ndarray], names: Sequence[str]) -> None:
    sizes: dict[Any, str] = {}
    for image, name in zip(images, names, strict=True):
        sizes.setdefault(image.shape[:2], name)
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise UserError(
            f"The images have {len(sizes)} sizes, e.g. {one[0]}x{one[1]} ({first}) and {other[0]}x{other[1]} "
            f"({second}); set data.image_size=[height,width] to scale all to one."
        )


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The image with 1 or 3 channels, transparency dropped."""
    colors = image[..., :1] if image.shape[-1] <= 2 else image[..., :3]
    if colors.shape[-1] == channels:
        return colors
    if channels == 3:
        return np.repeat(colors, 3, axis=-1)
    gray = colors @ np.array([0.299, 0.587, 0.114])  # as seen by people (ITU-R BT.601)
    return np.asarray(gray.round()[..., None], np.uint8)
