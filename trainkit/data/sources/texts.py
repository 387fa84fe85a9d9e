"""Texts from files: one folder per class, or files without labels. Texts in a table's column are a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.data.sources import paths
from trainkit.data.sources.bad_files import refuse_bad
from trainkit.data.sources.paths import PathLike
from trainkit.data.sources.tables import Table

__all__ = ["TextFiles", "read_texts"]


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
    reader = TextFiles(path, labelled=labelled, encoding=encoding, skip_bad=skip_bad)
    texts = [text for _, text in reader.texts()]
    files = [reader.files[row] for row in reader.kept]
    columns = {"path": _objects([str(file) for file in files]), "text": _objects(texts)}
    if labelled:
        columns["label"] = reader.labels[reader.kept]
    return Table(columns, paths.source_of(path, files), reader.notes)


class TextFiles:
    """Reads text files one after the other. The arguments are those of `read_texts`.

    Attributes:
        files: The files.
        labels: The class of each.
        kept: Numbers of the files that were read, once all are.
        notes: What people should know of them then, one sentence each.

    Raises:
        UserError: if there are none.
    """

    def __init__(
        self, path: PathLike | Sequence[PathLike], *, labelled: bool, encoding: str, skip_bad: bool
    ) -> None:
        self.files, self.labels, self._left_out = paths.labelled_files(path, "text", labelled=labelled)
        self.labelled = labelled
        self.encoding = encoding
        self.skip_bad = skip_bad
        self.kept: list[int] = []
        self.notes: tuple[str, ...] = ()

    def texts(self) -> Iterator[tuple[int, str]]:
        """The number of each file, and its text.

        Raises:
            UserError: at the end, if files cannot be read.
        """
        bad = []
        self.kept = []
        for row, file in enumerate(self.files):
            try:
                text = file.read_text(encoding=self.encoding).strip()
            except (OSError, UnicodeError) as error:
                bad.append((shown(file), str(error)))
            except LookupError as error:
                raise UserError(
                    f"data.encoding={self.encoding} is no encoding; e.g. utf-8, latin-1."
                ) from error
            else:
                self.kept.append(row)
                yield row, text
        unread = refuse_bad(bad, len(self.files), "texts", skip_bad=self.skip_bad)
        self.notes = (*self._left_out, *unread)


def _objects(values: Sequence[str]) -> np.ndarray:
    return np.array(values, dtype=object)
