"""What scikit-learn gives: seeded and stratified splits, and two small data sets that need no internet. The one file that imports it."""

from __future__ import annotations

import hashlib

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split

from trainkit.task import Source, UserError


def split_rows(rows: int, share: float, seed: int, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rows that stay and of those that are held out, shuffled by `seed`.

    Args:
        rows: Number of rows.
        share: Part to hold out, in (0, 1).
        seed: Of the shuffle.
        labels: Classes `[rows]`; given, every class is held out in the same share.

    Returns:
        `(kept, held_out)`, as `sklearn.model_selection.train_test_split` gives them.

    Raises:
        UserError: if the rows cannot be split so.
    """
    try:
        kept, held = train_test_split(np.arange(rows), test_size=share, random_state=seed, stratify=labels)
    except ValueError as error:
        raise UserError(f"Cannot hold out {share:g} of {rows} rows: {error}") from error
    return kept, held


def digits() -> tuple[np.ndarray, np.ndarray, Source]:
    """The 1,797 handwritten digits of the UCI test set: images `[1797, 28, 28]` uint8, 8x8 pixels repeated and padded, and labels `[1797]`."""
    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    images = np.pad(pixels.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return images, bunch.target.astype(np.int64), _source("scikit-learn digits (8x8, scaled to 28x28)", images, "MNIST")


def diabetes() -> tuple[np.ndarray, np.ndarray, Source]:
    """Diabetes progression of 442 patients: features `[442, 10]`, target `[442]` (Efron et al., 2004)."""
    bunch = load_diabetes(scaled=False)
    return bunch.data, bunch.target, _source("scikit-learn diabetes", bunch.data, "Boston housing")


def _source(name: str, array: np.ndarray, wanted: str) -> Source:
    return Source(name, "embedded in scikit-learn", hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(), wanted)
