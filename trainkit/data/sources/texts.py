"""Texts from files: one folder per class, or files without labels. Texts in a table's column are a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.data.sources import paths
from trainkit.data.sources.bad_files import refuse_bad
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.tables import Table

__all__ = ["read_texts"]


def read_texts(
    path: PathLike | Sequence[PathLike],
    *,
    labelled: bool = True,
    encoding: str = "utf-8",
    skip_bad: bool = False,
) -> Table:
    """Read text files as a table with the columns `path`, `text` and `label`.

    Args:
        path: A folder with one folder of `.txt` files per class; without labels, files or a folder of files.
        labelled: Whether the folders are classes; else there is no column `label`.
        encoding: Of the files.
        skip_bad: Whether files that cannot be read are left out, and not refused.

    Returns:
        A row per file, sorted by class and name. Texts have no blanks around them.

    Raises:
        UserError: if there are no such files, or some cannot be read.
    """
    files, labels = paths.labelled_files(path, "text", labelled=labelled)
    texts = []
    bad = []
    kept = []
    for row, file in enumerate(files):
        try:
            texts.append(file.read_text(encoding=encoding).strip())
            kept.append(row)
        except (OSError, UnicodeError) as error:
            bad.append((shown(file), str(error)))
        except LookupError as error:
            raise UserError(f"data.encoding={encoding} is no encoding; e.g. utf-8, latin-1.") from error
    notes = refuse_bad(bad, len(files), "texts", skip_bad=skip_bad)
    columns = {
        "path": _objects([str(files[row]) for row in kept]),
        "text": _objects(texts),
    }
    if labelled:
        columns["label"] = labels[kept]
    good: list[Path] = [files[row] for row in kept]
    return Table(columns, paths.source_of(path, good), notes)


def _objects(values: Sequence[str]) -> np.ndarray:
    return np.array(values, dtype=object)
