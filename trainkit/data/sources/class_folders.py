"""Files of images or texts whose folders are their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainkit.core.errors import UserError
from trainkit.data.sources.paths import ENDINGS, PathLike, files_below, has_ending, resolve

__all__ = ["LABEL", "SPLIT", "SPLITS", "FoundFiles", "given_splits", "labelled_files"]

LABEL = "label"  # columns of what folders say
SPLIT = "split"
LISTED = 5  # names in a note
SPLITS = {  # what folders and files of splits are called
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class FoundFiles:
    """Images or texts, and what their folders say.

    Args:
        files: Sorted by split, class and name.
        columns: `label`, the class of each file, object `[N]`; and `split` where there are folders of splits.
        notes: What is left out or decided, one sentence each.
    """

    files: list[Path]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def labelled_files(path: PathLike | Sequence[PathLike], name: str, *, labelled: bool) -> FoundFiles:
    """Images or texts, and the class of each.

    Args:
        path: A folder with one folder per class, or with folders such as `train` and `test` that have one
            folder per class; without labels, files or folders of files.
        name: `images` or `text`.
        labelled: Whether the folders are classes.

    Raises:
        UserError: if there are none, or fewer than two classes.
    """
    found = resolve(path)
    if not labelled:
        below = [file for f in found for file in (files_below(f) if f.is_dir() else [f])]
        files = [file for file in below if has_ending(file, name)]
        if not files:
            raise UserError(f"data.path={path} has no files that end in {', '.join(ENDINGS[name])}.")
        return FoundFiles(files, notes=_left_out(below, name))
    if len(found) != 1 or not found[0].is_dir():
        raise UserError(f"data.path={path} is no folder; expected one with a folder per class.")
    folders = _split_folders(found[0], name)
    if not folders:
        return _classes(found[0], name, 2)
    parts = {split: _classes(folder, name, 1 + (split == "train")) for split, folder in folders.items()}
    named = ", ".join(folder.name for folder in folders.values())
    note = f"the folders {named} are splits, and the folders in them classes"
    columns = {
        LABEL: np.concatenate([part.columns[LABEL] for part in parts.values()]),
        SPLIT: _objects([split for split, part in parts.items() for _ in part.files]),
    }
    notes = [f"{folders[split].name}: {said}" for split, part in parts.items() for said in part.notes]
    return FoundFiles([file for part in parts.values() for file in part.files], columns, (note, *notes))


def given_splits(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The row numbers of the splits other than `train` that folders name."""
    named = columns.get(SPLIT, np.empty(0, dtype=object))
    rows = {split: np.flatnonzero(named == split) for split in ("validation", "test")}
    return {split: numbers for split, numbers in rows.items() if len(numbers)}


def _split_folders(path: Path, name: str) -> dict[str, Path]:
    """The folders of splits by their splits, `train` first; none where folders are classes."""
    folders = [folder for folder in _folders(path) if any(has_ending(f, name) for f in files_below(folder))]
    found = {SPLITS.get(folder.name.lower(), ""): folder for folder in folders}
    inside = [folder for split in found.values() for folder in _folders(split)]
    if "" in found or "train" not in found or not 2 <= len(found) == len(folders) or not inside:
        return {}
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _classes(path: Path, name: str, fewest: int) -> FoundFiles:
    """The files of a folder that has one folder per class.

    Args:
        path: The folder.
        name: `images` or `text`.
        fewest: Classes that there must be.

    Raises:
        UserError: if there are fewer classes, or files of no class.
    """
    below = {folder.name: files_below(folder) for folder in _folders(path)}
    found = {label: [f for f in files if has_ending(f, name)] for label, files in below.items()}
    classes = {label: files for label, files in found.items() if files}
    endings = ", ".join(ENDINGS[name])
    beside = [file.name for file in sorted(path.iterdir()) if file.is_file() and has_ending(file, name)]
    if beside:
        raise UserError(
            f"data.path={path} has {len(beside)} files outside of its class folders, e.g. {beside[0]}; "
            "expected one folder per class, or a table with paths and labels."
        )
    if len(classes) < fewest:
        raise UserError(
            f"data.path={path} has {_folders_with_files(len(classes))} ending in {endings}; "
            "expected one folder per class, and at least two classes."
        )
    empty = [label for label in found if label not in classes]
    notes = []
    if empty:
        notes.append(f"no class, since no file in it ends in {endings}: {_listed(empty)}")
    notes += _left_out([file for label in classes for file in below[label]], name)
    labels = _objects([label for label, each in classes.items() for _ in each])
    return FoundFiles([file for each in classes.values() for file in each], {LABEL: labels}, tuple(notes))


def _left_out(files: Sequence[Path], name: str) -> tuple[str, ...]:
    """A note on the files of other endings than those of a format; none where there are none."""
    others = [file.name for file in files if not has_ending(file, name)]
    if not others:
        return ()
    count = "1 file does" if len(others) == 1 else f"{len(others)} files do"
    left_out = "is left out" if len(others) == 1 else "are left out"
    return (f"{count} not end in {', '.join(ENDINGS[name])} and {left_out}: {_listed(others)}",)


def _folders_with_files(count: int) -> str:
    return f"{count} folder with files" if count == 1 else f"{count} folders with files"


def _folders(path: Path) -> list[Path]:
    return sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _objects(values: Sequence[str]) -> np.ndarray:
    return np.array(values, dtype=object)
