"""Where the rows of MNIST and Boston come from: a folder, Keras's cache, a download, or scikit-learn."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.sources import download, embedded, npz
from trainkit.data.sources.npz import ArraySpec

__all__ = ["BOSTON", "MNIST", "DataSet", "DataWarning", "Loaded", "load"]

Loaded = tuple[dict[str, np.ndarray], Source]


class DataWarning(UserWarning):
    """The rows do not come from where they were looked for first, or are not the data set that was wanted."""


# Python shows a warning once a process by default; several runs in one process (a sweep) must each be told.
warnings.simplefilter("always", DataWarning, append=True)


class _Missing(Exception):
    """A source does not have the data set; the message is the reason."""


@dataclass(frozen=True)
class DataSet:
    """A data set of one `.npz` file.

    Args:
        name: Its name in messages.
        key: Its name as `data.source`, which demands the real data.
        file: Name of the file in a folder or in Keras's cache.
        url: Address that Keras downloads it from.
        sha256: Checksum of the file at that address.
        arrays: What the file holds, by name.
        embedded: Gives the substitute with the same arrays.
    """

    name: str
    key: str
    file: str
    url: str
    sha256: str
    arrays: Mapping[str, ArraySpec]
    embedded: Callable[[], Loaded]


KERAS_FILES = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


MNIST = DataSet(
    name="MNIST",
    key="mnist",
    file="mnist.npz",
    url=KERAS_FILES + "mnist.npz",
    sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    arrays={
        "x_train": ArraySpec(("N", 28, 28), np.uint8, 0, 255),
        "y_train": ArraySpec(("N",), np.integer, 0, 9),
        "x_test": ArraySpec(("M", 28, 28), np.uint8, 0, 255),
        "y_test": ArraySpec(("M",), np.integer, 0, 9),
    },
    embedded=embedded.digits,
)


BOSTON = DataSet(
    name="Boston housing",
    key="boston",
    file="boston_housing.npz",
    url=KERAS_FILES + "boston_housing.npz",
    sha256="f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    arrays={"x": ArraySpec(("N", 13), np.floating), "y": ArraySpec(("N",), np.floating)},
    embedded=embedded.diabetes,
)


def load(wanted: DataSet, source: str = "auto", dir: str | None = None) -> Loaded:
    """The arrays of a data set, from the first source that has it.

    `auto` tries in order: the folder `dir`, or else `TRAINKIT_DATA`; Keras's cache; a download into it;
    the substitute of scikit-learn, with a `DataWarning`. A folder given as `dir` must have the file; one that
    only `TRAINKIT_DATA` names is passed over with a `DataWarning` if it has not. A damaged file in a folder
    is an error; in the cache it is downloaded again.

    Args:
        wanted: `MNIST` or `BOSTON`.
        source: `auto`; the data set's key: only the real data will do; `embedded`: the substitute, asked for.
        dir: Folder with the file.

    Returns:
        The arrays by name, and where they really came from.

    Raises:
        UserError: for an unknown source, one without the data, or a file that holds something else.
    """
    choices = ("auto", wanted.key, "embedded")
    if source not in choices:
        raise UserError(
            f"data.source={source} is no source of {wanted.name}; {did_you_mean(source, choices)}"
        )
    if source == "embedded":
        return wanted.embedded()
    reasons = []
    for find in (_in_folder, _in_cache, _downloaded):
        try:
            return find(wanted, dir)
        except _Missing as reason:
            reasons.append(str(reason))
    looked = f"{wanted.name} was not found ({'; '.join(reasons)})"
    remedy = (
        f"put {wanted.file} into a folder and set data.dir or TRAINKIT_DATA to it, "
        "or run once with internet access"
    )
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
        stacklevel=2,
    )
    return arrays, used


def _in_folder(wanted: DataSet, dir: str | None) -> Loaded:
    variable = os.environ.get("TRAINKIT_DATA")
    folder = dir or variable
    if not folder:
        raise _Missing("no data.dir or TRAINKIT_DATA given")
    path = Path(os.path.expanduser(folder), wanted.file)
    if os.path.isfile(path):
        return _real(wanted, path)
    state = f"has no {wanted.file}" if os.path.isdir(path.parent) else "is no folder"
    # A config that takes data.dir from the variable gives both alike;
    # only a folder named for this run must have the file.
    if folder != variable:
        raise UserError(
            f"data.dir={folder} {state}; expected a folder with {wanted.file}. "
            "Correct data.dir, or leave it out to look elsewhere."
        )
    warnings.warn(
        f"TRAINKIT_DATA={folder} {state}; looking for {wanted.name} elsewhere.", DataWarning, stacklevel=3
    )
    raise _Missing(f"TRAINKIT_DATA={folder} {state}")


def _in_cache(wanted: DataSet, dir: str | None) -> Loaded:
    path = download.keras_cache() / wanted.file
    if not os.path.isfile(path):
        raise _Missing(f"no {path}")
    try:
        return _real(wanted, path)
    except UserError as error:
        raise _Missing(str(error).rstrip(".")) from error


def _downloaded(wanted: DataSet, dir: str | None) -> Loaded:
    path = download.keras_cache() / wanted.file
    try:
        download.download(wanted.url, wanted.sha256, path)
    except download.DownloadError as error:
        raise _Missing(f"download failed: {error}") from error
    return _real(wanted, path)


def _real(wanted: DataSet, path: Path) -> Loaded:
    arrays, sha256 = npz.read(path, wanted.arrays)
    return arrays, Source(wanted.name, str(path), sha256)
