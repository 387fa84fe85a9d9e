"""What lies at `data.path`: the files of a table, or folders of images or texts."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.files import shown

__all__ = [
    "ENDINGS",
    "FORMATS",
    "checksum",
    "class_folders",
    "detect_format",
    "files_of",
    "labelled_files",
    "resolve",
    "source_name",
    "source_of",
    "stamp",
]

FORMATS = ("csv", "parquet", "images", "text")
ENDINGS = {
    "csv": (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
    "parquet": (".parquet", ".pq"),
    "images": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
    "text": (".txt",),
}

LISTED = 5  # names in a note

PathLike = str | Path


def resolve(path: PathLike | Sequence[PathLike]) -> list[Path]:
    """The existing files and folders that `data.path` names.

    Args:
        path: A file, a folder, a pattern such as `data/*.csv`, or several of them.

    Raises:
        UserError: if there is nothing of that name.
    """
    if not isinstance(path, str | Path):
        return [found for one in path for found in resolve(one)]
    expanded = os.path.expanduser(path)
    if Path(expanded).exists():
        return [Path(expanded)]
    matching = sorted(Path(found) for found in glob.glob(expanded))
    if matching:
        return matching
    folder = Path(expanded).parent
    if not folder.is_dir():
        raise UserError(f"data.path={path} does not exist: there is no folder {folder}.")
    names = [found.name for found in folder.iterdir() if not found.name.startswith(".")]
    hint = did_you_mean(Path(expanded).name, sorted(names))
    raise UserError(f"data.path={path} does not exist; {hint.replace('Known:', f'{folder} has')}")


def detect_format(path: PathLike | Sequence[PathLike]) -> str:
    """One of `FORMATS`, by the endings of the files.

    Raises:
        UserError: if there is nothing to read, or files of several formats.
    """
    counts: dict[str, int] = {}
    for found in resolve(path):
        candidates = _files_below(found) if found.is_dir() else [found]
        for file in candidates:
            for name, endings in ENDINGS.items():
                if file.name.lower().endswith(endings):
                    counts[name] = counts.get(name, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    if "images" in counts and {"csv", "parquet"} & set(counts):  # a table of the images' names and labels
        return "images"
    found_files = ", ".join(f"{count} {name} files" for name, count in counts.items())
    raise UserError(
        f"data.path={path} has {found_files or 'no file of a known format'}; "
        f"set data.format to one of {', '.join(FORMATS)}."
    )


def files_of(path: PathLike | Sequence[PathLike], name: str) -> list[Path]:
    """The files of a format, sorted by name within each folder.

    A file that is named itself may end as it likes.

    Args:
        path: As for `resolve`.
        name: One of `FORMATS`.

    Raises:
        UserError: if there are none.
    """
    files = []
    for found in resolve(path):
        if found.is_dir():
            inside = sorted(file for file in found.iterdir() if _has_ending(file, name))
            files += [file for file in inside if file.is_file()]
        else:
            files.append(found)
    if not files:
        raise UserError(
            f"data.path={path} has no {name} file; expected names that end in {', '.join(ENDINGS[name])}."
        )
    return files


def class_folders(path: Path, name: str) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """The files of each class of a folder that has one folder per class, sorted.

    Args:
        path: The folder.
        name: `images` or `text`.

    Returns:
        The files by class; and what is left out, one sentence each.

    Raises:
        UserError: if there are fewer than two classes, or files of no class.
    """
    folders = sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))
    below = {folder.name: _files_below(folder) for folder in folders}
    found = {label: [f for f in files if _has_ending(f, name)] for label, files in below.items()}
    classes = {label: files for label, files in found.items() if files}
    beside = [file.name for file in sorted(path.iterdir()) if file.is_file() and _has_ending(file, name)]
    if beside:
        raise UserError(
            f"data.path={path} has {len(beside)} files outside of its class folders, e.g. {beside[0]}; "
            "expected one folder per class, or a table with paths and labels."
        )
    if len(classes) < 2:
        raise UserError(
            f"data.path={path} has {len(classes)} folders with files ending in {', '.join(ENDINGS[name])}; "
            "expected one folder per class, and at least two classes."
        )
    empty = [label for label in found if label not in classes]
    others = [file.name for label in classes for file in below[label] if not _has_ending(file, name)]
    endings = ", ".join(ENDINGS[name])
    notes = []
    if empty:
        notes.append(f"no class, since no file in it ends in {endings}: {_listed(empty)}")
    if others:
        count = "1 file does" if len(others) == 1 else f"{len(others)} files do"
        left_out = "is left out" if len(others) == 1 else "are left out"
        notes.append(f"{count} not end in {endings} and {left_out}: {_listed(others)}")
    return classes, tuple(notes)


def labelled_files(
    path: PathLike | Sequence[PathLike], name: str, *, labelled: bool
) -> tuple[list[Path], np.ndarray, tuple[str, ...]]:
    """Images or texts, and the class of each.

    Args:
        path: A folder with one folder per class; without labels, files or folders of files.
        name: `images` or `text`.
        labelled: Whether the folders are classes.

    Returns:
        The files, sorted by class and name; their labels, object `[N]`, "" without labels; and what is left
        out, one sentence each.

    Raises:
        UserError: if there are none, or fewer than two classes.
    """
    if not labelled:
        found = resolve(path)
        below = [_files_below(f) if f.is_dir() else [f] for f in found]
        files = [file for each in below for file in each if _has_ending(file, name)]
        if not files:
            raise UserError(f"data.path={path} has no files that end in {', '.join(ENDINGS[name])}.")
        return files, np.full(len(files), "", dtype=object), ()
    folders = resolve(path)
    if len(folders) != 1 or not folders[0].is_dir():
        raise UserError(f"data.path={path} is no folder; expected one with a folder per class.")
    classes, notes = class_folders(folders[0], name)
    files = [file for each in classes.values() for file in each]
    labels = [label for label, each in classes.items() for _ in each]
    return files, np.array(labels, dtype=object), notes


def checksum(files: Sequence[Path]) -> str:
    """The sha256 of a file; of several, that of their checksums and their names below a common folder."""
    digests = []
    for file in files:
        with file.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    if len(files) == 1:
        return digests[0]
    common = os.path.commonpath([file.absolute().parent for file in files])
    names = [os.path.relpath(file.absolute(), common) for file in files]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def source_of(path: PathLike | Sequence[PathLike], files: Sequence[Path], sha256: str = "") -> Source:
    """Where rows came from, for the run's manifest.

    Args:
        path: As the user gave it.
        files: That were read.
        sha256: Their checksum, where it is known already.
    """
    given = [path] if isinstance(path, str | Path) else list(path)
    return Source(source_name(path), ", ".join(map(shown, given)), sha256 or checksum(files))


def source_name(path: PathLike | Sequence[PathLike]) -> str:
    """The name of a data set, for people."""
    return Path(path if isinstance(path, str | Path) else path[0]).name


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _files_below(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def _has_ending(file: Path, name: str) -> bool:
    return file.name.lower().endswith(ENDINGS[name]) and not file.name.startswith(".")


def stamp(path: PathLike | Sequence[PathLike]) -> tuple[tuple[str, int, int], ...]:
    """Name, time of change and size of every file that `data.path` names: other content, other stamp."""
    files = [file for found in resolve(path) for file in (_files_below(found) if found.is_dir() else [found])]
    states = [(file, file.stat()) for file in files]
    return tuple((str(file), state.st_mtime_ns, state.st_size) for file, state in states)
