"""Seeded splits of rows."""

from __future__ import annotations

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError

__all__ = ["holdout", "shuffled"]


def holdout(
    arrays: Arrays, share: float, seed: int, *, stratify: np.ndarray | None = None
) -> tuple[Arrays, Arrays | None]:
    """Hold out a share of the rows, chosen at random.

    The rows are those of scikit-learn's `train_test_split(test_size=share, random_state=seed)`.

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
        raise UserError(
            f"data.validation={share} is not a share of the rows; "
            "expected 0 (none held out) or more, and less than 1, e.g. 0.2."
        )
    if share == 0:
        return arrays, None
    try:
        rest, held = shuffled(len(arrays), share, seed, stratify)
    except ValueError as error:
        raise UserError(f"Cannot hold {share:g} of {len(arrays)} rows out: {error}") from error
    return arrays.take(rest), arrays.take(held)


def shuffled(
    rows: int, share: float, seed: int, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers that remain and row numbers held out, both shuffled.

    Args:
        rows: Number of rows.
        share: Part of the rows to hold out, `0 < share < 1`.
        seed: Of the shuffle.
        labels: Class of each row `[rows]`, to keep the classes' proportions in both parts.

    Raises:
        ValueError: if a part would be empty or lack a class.
    """
    from sklearn.model_selection import train_test_split

    rest, held = train_test_split(np.arange(rows), test_size=share, random_state=seed, stratify=labels)
    return rest, held
