"""Known data sets: from a folder, Keras's cache, a download, or a substitute that says that it is one."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.sources import download
from trainkit.data.sources.array_specs import ArraySpec, check_arrays, expected

__all__ = ["DataSet", "DataWarning", "Loaded", "RemoteFile", "load"]

Loaded = tuple[dict[str, np.ndarray], Source]


class DataWarning(UserWarning):
    """The rows do not come from where they were looked for first, or are not the data set that was wanted."""


# Python shows a warning once a process by default; several runs in one process (a sweep) must each be told.
warnings.simplefilter("always", DataWarning, append=True)


class _Missing(Exception):
    """A source does not have the data set; the message is the reason."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Args:
        name: Of the file, in a folder and in Keras's cache.
        url: Address that Keras downloads it from.
        sha256: Checksum of the file at that address.
        cached: What Keras calls it in its cache, if not `name`.
    """

    name: str
    url: str
    sha256: str
    cached: str = ""

    def path_in_cache(self) -> Path:
        """Where Keras keeps it."""
        return download.keras_cache() / (self.cached or self.name)


@dataclass(frozen=True)
class DataSet:
    """A data set that is known by name.

    Args:
        name: Its name in messages.
        key: Its name as `data.source`, which demands the real data.
        files: Its files.
        arrays: What they hold, by name.
        parse: Makes arrays of the files' contents, in the order of `files`; may raise anything.
        embedded: Gives a substitute with the same arrays, if there is one.
        classes: Names of its classes, if they have names.
    """

    name: str
    key: str
    files: tuple[RemoteFile, ...]
    arrays: Mapping[str, ArraySpec]
    parse: Callable[[list[bytes]], dict[str, np.ndarray]]
    embedded: Callable[[], Loaded] | None = None
    classes: tuple[str, ...] = ()

    @property
    def file_names(self) -> str:
        """The names of its files, for messages."""
        return " and ".join(file.name for file in self.files)

    def read(self, paths: list[Path]) -> Loaded:
        """Read and check its files.

        Args:
            paths: Where they lie, in the order of `files`.

        Raises:
            UserError: if one cannot be read, is damaged, or holds something else.
        """
        where = str(paths[0]) if len(paths) == 1 else f"The files in {paths[0].parent}"
        contents = [_content(path) for path in paths]  # once: the checksum is that of the rows in use
        try:
            arrays = self.parse(contents)
        except Exception as error:  # what zipfile, pickle and NumPy raise on damaged bytes is an open set
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{where}: damaged, or no {self.name} file ({reason}); expected {expected(self.arrays)}. "
                "Replace it."
            ) from error
        digests = [hashlib.sha256(content).hexdigest() for content in contents]
        whole = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
        origin = ", ".join(map(str, paths))
        return check_arrays(where, arrays, self.arrays), Source(self.name, origin, whole)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror or error}. Check the file and its permissions."
        ) from error


def load(wanted: DataSet, source: str = "auto", dir: str | None = None) -> Loaded:
    """The arrays of a data set, from the first source that has it.

    `auto` tries in order: the folder `dir`, or else `TRAINKIT_DATA`; Keras's cache; a download into it; the
    substitute, if there is one, with a `DataWarning`. A folder given as `dir` must have the files; one that
    only `TRAINKIT_DATA` names is passed over with a `DataWarning` if it has not. A damaged file in a folder
    is an error; in the cache it is downloaded again.

    Args:
        wanted: The data set.
        source: `auto`; the data set's key: only the real data will do; `embedded`: the substitute, asked for.
        dir: Folder with the files.

    Returns:
        The arrays by name, and where they really came from.

    Raises:
        UserError: for an unknown source, one without the data, or a file that holds something else.
    """
    choices = ("auto", wanted.key, *(["embedded"] if wanted.embedded else []))
    if source not in choices:
        raise UserError(
            f"data.source={source} is no source of {wanted.name}; {did_you_mean(source, choices)}"
        )
    if source == "embedded" and wanted.embedded:
        return wanted.embedded()
    reasons = []
    for find in (_in_folder, _in_cache, _downloaded):
        try:
            return find(wanted, dir)
        except _Missing as reason:
            reasons.append(str(reason))
    looked = f"{wanted.name} was not found ({'; '.join(reasons)})"
    return _substitute(wanted, source, looked)


def _substitute(wanted: DataSet, source: str, looked: str) -> Loaded:
    """The substitute, with a warning; refused if the real data are demanded."""
    remedy = (
        f"put {wanted.file_names} into a folder and set data.dir or TRAINKIT_DATA to it, "
        "or run once with internet access"
    )
    if wanted.embedded is None:
        raise UserError(f"{looked}; there is no substitute. To get it, {remedy}.")
    if source == wanted.key:
        raise UserError(
            f"data.source={source} demands the real data, but {looked}. "
            f"Either {remedy}, or use data.source=embedded."
        )
    arrays, used = wanted.embedded()
    warnings.warn(
        f"This is NOT {wanted.name} but {used.name}: results do not compare. {looked}.\n"
        f"For the real data, {remedy}.",
        DataWarning,
        stacklevel=3,
    )
    return arrays, used


def _in_folder(wanted: DataSet, dir: str | None) -> Loaded:
    variable = os.environ.get("TRAINKIT_DATA")
    folder = dir or variable
    if not folder:
        raise _Missing("no data.dir or TRAINKIT_DATA given")
    root = Path(os.path.expanduser(folder))
    found = [root / file.name for file in wanted.files]
    missing = next((path for path in found if not os.path.isfile(path)), None)
    if missing is None:
        return wanted.read(found)
    state = f"has no {missing.relative_to(root)}" if root.is_dir() else "is no folder"
    # A config that takes data.dir from the variable gives both alike;
    # only a folder named for this run must have the file.
    if folder != variable:
        raise UserError(
            f"data.dir={folder} {state}; expected a folder with {wanted.file_names}. "
            "Correct data.dir, or leave it out to look elsewhere."
        )
    warnings.warn(
        f"TRAINKIT_DATA={folder} {state}; looking for {wanted.name} elsewhere.", DataWarning, stacklevel=3
    )
    raise _Missing(f"TRAINKIT_DATA={folder} {state}")


def _in_cache(wanted: DataSet, dir: str | None) -> Loaded:
    found = [file.path_in_cache() for file in wanted.files]
    for path in found:
        if not os.path.isfile(path):
            raise _Missing(f"no {path}")
    try:
        return wanted.read(found)
    except UserError as error:
        raise _Missing(str(error).rstrip(".")) from error


def _downloaded(wanted: DataSet, dir: str | None) -> Loaded:
    paths = []
    for file in wanted.files:
        path = file.path_in_cache()
        if not _is_intact(path, file.sha256):
            try:
                download.download(file.url, file.sha256, path)
            except download.DownloadError as error:
                raise _Missing(f"download failed: {error}") from error
        paths.append(path)
    return wanted.read(paths)


def _is_intact(path: Path, sha256: str) -> bool:
    """Whether a file of several is in the cache already."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
