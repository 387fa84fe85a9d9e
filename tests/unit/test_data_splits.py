"""Laws of the splits: disjoint, complete, and a function of the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.data.splits import holdout


def numbered(rows: int) -> Arrays:
    return Arrays(np.arange(rows), np.arange(rows) * 10)


def test_holdout_parts_are_disjoint_and_complete() -> None:
    rest, held = holdout(numbered(101), 0.2, 3)
    assert held is not None
    assert (len(rest), len(held)) == (80, 21)
    assert sorted([*rest.x, *held.x]) == list(range(101))
    np.testing.assert_array_equal(held.y, held.x * 10)


@pytest.mark.parametrize("stratified", [False, True])
def test_holdout_is_scikit_learns_split(stratified: bool) -> None:
    from sklearn.model_selection import train_test_split

    labels = np.arange(97) % 3 if stratified else None
    rest, held = holdout(numbered(97), 0.25, 5, stratify=labels)
    expected = train_test_split(np.arange(97), test_size=0.25, random_state=5, stratify=labels)
    np.testing.assert_array_equal(rest.x, expected[0])
    np.testing.assert_array_equal(held.x if held else None, expected[1])


def test_holdout_depends_on_the_seed_alone() -> None:
    first, again, other = (holdout(numbered(50), 0.2, seed)[0].x for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stratified_holdout_keeps_the_proportions() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    _, held = holdout(numbered(1000), 0.2, 0, stratify=labels)
    assert held is not None
    assert np.bincount(labels[held.x]).tolist() == [120, 60, 20]


def test_nothing_held_out_leaves_all_rows_in_place() -> None:
    rest, held = holdout(numbered(5), 0, 0)
    assert held is None
    np.testing.assert_array_equal(rest.x, np.arange(5))


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(UserError, match=r"data\.validation="):
        holdout(numbered(10), share, 0)


def test_too_few_rows_of_a_class_are_refused() -> None:
    with pytest.raises(UserError, match=r"Cannot hold 0\.2 of 10 rows out"):
        holdout(numbered(10), 0.2, 0, stratify=np.array([0] * 9 + [1]))
