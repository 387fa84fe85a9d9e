"""MNIST and Boston housing, from the first place that has them: a folder, Keras's cache, a download, or what scikit-learn ships."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainkit.data import files
from trainkit.data.download import DownloadError, fetch, keras_cache
from trainkit.task import Source, UserError, nearest

ADDRESS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


class SubstituteDataWarning(UserWarning):
    """The data set that was asked for is not to be had, and another one is used."""


@dataclass(frozen=True)
class Images:
    """Images `[N, 28, 28]` uint8 and their classes `[N]` int64, for training and for the test."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    source: Source


@dataclass(frozen=True)
class Table:
    """Features `[N, F]` float32 and targets `[N, 1]` float32; `unit` of the target, for people."""

    x: np.ndarray
    y: np.ndarray
    unit: str
    source: Source


def mnist(source: str = "auto", folder: str | None = None) -> Images:
    """MNIST (LeCun, Cortes, Burges, 1998), or with `auto` and nothing else at hand scikit-learn's digits, with a warning.

    Args:
        source: `auto`, `mnist` or `embedded`.
        folder: Folder with `mnist.npz`; default: `TRAINKIT_DATA`, if set.

    Raises:
        UserError: if the demanded source is not there, or a file is damaged.
    """
    path, why = _find("mnist", "MNIST", "mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", source, folder)
    if path is None:
        from trainkit.data import scikit

        x, y, origin = scikit.digits()
        _tell(why, origin)
        kept, held = scikit.split_rows(len(x), 0.2, 0, y)
        return Images(x[kept], y[kept], x[held], y[held], origin)
    shapes = {"x_train": (None, 28, 28), "y_train": (None,), "x_test": (None, 28, 28), "y_test": (None,)}
    arrays, digest = files.read_npz(path, shapes)
    files.check_pairs(path, arrays, [("x_train", "y_train"), ("x_test", "y_test")])
    for name, array in arrays.items():
        files.check_range(path, name, array, 0, 255 if name.startswith("x") else 9)
    images = [arrays[k].astype(np.uint8) if k.startswith("x") else arrays[k].astype(np.int64) for k in shapes]
    return Images(*images, Source("MNIST", str(path), digest))


def boston(source: str = "auto", folder: str | None = None) -> Table:
    """Boston housing (Harrison, Rubinfeld, 1978), target in thousands of dollars; or with `auto` and nothing else scikit-learn's diabetes data, with a warning.

    Args:
        source: `auto`, `boston` or `embedded`.
        folder: Folder with `boston_housing.npz`; default: `TRAINKIT_DATA`, if set.

    Raises:
        UserError: if the demanded source is not there, or a file is damaged.
    """
    path, why = _find("boston", "Boston housing", "boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5", source, folder)
    if path is None:
        from trainkit.data import scikit

        x, y, origin = scikit.diabetes()
        _tell(why, origin)
        return Table(x.astype(np.float32), y.astype(np.float32)[:, None], "", origin)
    arrays, digest = files.read_npz(path, {"x": (None, 13), "y": (None,)})
    files.check_pairs(path, arrays, [("x", "y")])
    files.check_range(path, "y", arrays["y"], 0, 1000)
    return Table(arrays["x"].astype(np.float32), arrays["y"].astype(np.float32)[:, None], "k$", Source("Boston housing", str(path), digest))


def _find(key: str, name: str, file: str, sha256: str, source: str, folder: str | None) -> tuple[Path | None, str]:
    """The file of a data set, or None and why the embedded substitute is used instead ("" if it was asked for)."""
    known = ("auto", key, "embedded")
    if source not in known:
        raise UserError(f"data.source={source!r} is not a source of {name}; {nearest(source, known)}")
    if source == "embedded":
        return None, ""
    named = folder or os.environ.get("TRAINKIT_DATA")
    reasons = []
    if named:
        path = Path(named).expanduser() / file
        if path.is_file():
            return path, ""
        # A folder that somebody named and that has not the file is a mistake, never a reason to train on something else.
        raise UserError(f"data.dir={named} has no {file}{'' if path.parent.is_dir() else ', it does not exist'}; give the folder of {file}, or unset data.dir and TRAINKIT_DATA.")
    cached = keras_cache() / file
    if cached.is_file():
        return cached, ""
    try:
        return fetch(ADDRESS + file, sha256, cached), ""
    except DownloadError as error:
        reasons.append(str(error))
    if source == key:
        raise UserError(f"data.source={key}: {name} is not to be had: no data.dir, nothing in {cached.parent}, and {reasons[0]}. Put {file} into a folder and give data.dir=<folder>.")
    return None, f"{name} is not to be had: no data.dir or TRAINKIT_DATA, nothing in {cached.parent}, and {reasons[0]}"


def _tell(why: str, used: Source) -> None:
    if why:
        advice = "Results do not compare. For the real data, set TRAINKIT_DATA (or data.dir=) to a folder with the .npz file, or connect to the internet."
        warnings.warn(SubstituteDataWarning(f"NOT {used.substitute_for}: training on {used.name} instead. {why}. {advice}"), stacklevel=4)
