"""Texts from files: one folder per class, or files without labels. Texts in a table's column are a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.data.sources import paths
from trainkit.data.sources.bad_files import refuse_bad
from trainkit.data.sources.class_folders import labelled_files
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
    """Read text files as a table with the columns `path`, `text` and `label`, and `split` if folders say it.

    Args:
        path: A folder with one folder of `.txt` files per class; without labels, files or a folder of files.
        labelled: Whether the folders are classes; else there are no columns but `path` and `text`.
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
    said = {name: column[reader.kept] for name, column in reader.columns.items()}
    return Table({**columns, **said}, paths.source_of(path, files), reader.notes)


class TextFiles:
    """Reads text files one after the other. The arguments are those of `read_texts`.

    Attributes:
        files: The files.
        columns: What their folders say.
        kept: Numbers of the files that were read, once all are.
        notes: What people should know of them then, one sentence each.

    Raises:
        UserError: if there are none.
    """

    def __init__(
        self, path: PathLike | Sequence[PathLike], *, labelled: bool, encoding: str, skip_bad: bool
    ) -> None:
        self._found = labelled_files(path, "text", labelled=labelled)
        self.files = self._found.files
        self.columns = self._found.columns
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
        advice = ""
        self.kept = []
        for row, file in enumerate(self.files):
            try:
                text = file.read_text(encoding=self.encoding).removeprefix("\ufeff").strip()
            except (OSError, UnicodeError) as error:
                bad.append((shown(file), str(error)))
                if isinstance(error, UnicodeError):
                    advice = "Set data.encoding to theirs, e.g. latin-1 or utf-16."
            except LookupError as error:
                raise UserError(
                    f"data.encoding={self.encoding} is no encoding; e.g. utf-8, latin-1."
                ) from error
            else:
                self.kept.append(row)
                yield row, text
        unread = refuse_bad(bad, len(self.files), "texts", skip_bad=self.skip_bad, advice=advice)
        self.notes = (*self._found.notes, *unread)


def _objects(values: Sequence[str]) -> np.ndarray:
    return np.array(values, dtype=object)
