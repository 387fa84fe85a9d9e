"""What scikit-learn gives: two small data sets that it ships, and seeded splits. Loaded only once one of them is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from trainkit.task import Arrays, Source, UserError


def holdout(arrays: Arrays, share: float, seed: int, *, stratify: np.ndarray | None = None) -> tuple[Arrays, Arrays | None]:
    """Hold a share of the rows out, chosen at random: `train_test_split(test_size=share, random_state=seed)`.

    Args:
        arrays: Rows to split.
        share: Part of the rows to hold out, `0 <= share < 1`; 0 holds nothing out.
        seed: Of the shuffle; the same seed gives the same rows.
        stratify: Class of each row `[N]`: both parts then have the classes in the same proportions.

    Returns:
        The rows that remain and the rows held out (None for `share=0`), both shuffled.

    Raises:
        UserError: for a share outside of [0, 1), or so few rows that a part would be empty or lack a class.
    """
    if not 0 <= share < 1:
        raise UserError(f"data.validation={share} is not a share of the rows; expected 0 (none held out) or more, and less than 1, e.g. 0.2.")
    if share == 0:
        return arrays, None
    try:
        rest, held = _split(len(arrays), share, seed, stratify)
    except ValueError as error:
        raise UserError(f"Cannot hold {share:g} of {len(arrays)} rows out: {error}") from error
    return arrays.take(rest), arrays.take(held)


def _split(rows: int, share: float, seed: int, stratify: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    rest, held = train_test_split(np.arange(rows), test_size=share, random_state=seed, stratify=stratify)
    return rest, held


def digits() -> tuple[dict[str, np.ndarray], Source]:
    """scikit-learn's 1,797 digits of 8x8 pixels as MNIST's arrays: scaled to 28x28 uint8 from 0 to 255, a fifth of them the test set."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    at = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)  # where the centres of 28 pixels lie among those of 8
    weight = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))  # [28, 8], linear interpolation
    x = (weight @ (images.reshape(-1, 8, 8) * (255 / 16)) @ weight.T).round().astype(np.uint8)
    y = labels.astype(np.uint8)
    train, test = _split(len(y), 0.2, 0, y)
    arrays = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
    return arrays, _source("scikit-learn digits 8x8 scaled to 28x28", "MNIST", arrays)


def diabetes() -> tuple[dict[str, np.ndarray], Source]:
    """scikit-learn's diabetes data as Boston's arrays: 442 patients of 10 features, and how far the disease has come after a year."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    arrays = {"x": x, "y": y}
    return arrays, _source("scikit-learn diabetes (disease progression, not prices)", "Boston housing", arrays)


def _source(name: str, wanted: str, arrays: Mapping[str, np.ndarray]) -> Source:
    import sklearn

    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return Source(name, f"scikit-learn {sklearn.__version__}", digest.hexdigest(), wanted)
