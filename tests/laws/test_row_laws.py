"""Each row is trained once and only once, whatever the sizes: arithmetic alone, nothing is trained here."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainkit.data.order import order
from trainkit.engine.inputs import EpochShape
from trainkit.engine.split_step import replica_share

sizes = st.integers(1, 200)


def trained_rows(shape: EpochShape, micro_rows: int, replicas: int) -> list[int]:
    """The positions in the epoch's order that the replicas train, step after step, part after part."""
    trained = []
    for step in range(shape.steps):
        size = shape.step_rows if step < shape.full_steps else shape.rest
        for first in range(0, size, micro_rows):
            part = min(micro_rows, size - first)
            for index in range(replicas):
                begin, count = replica_share(part, replicas, index)
                start = step * shape.step_rows + first + begin
                trained += range(start, start + count)
    return trained


@given(rows=sizes, batch=st.integers(1, 64), accumulate=st.integers(1, 8), replicas=st.integers(1, 9))
def test_every_row_is_trained_once(rows: int, batch: int, accumulate: int, replicas: int) -> None:
    """For any batch size, accumulation and number of replicas, ragged or not."""
    shape = EpochShape.of(rows, batch * accumulate)
    assert trained_rows(shape, batch, replicas) == list(range(rows))
    assert shape.rows == rows


@given(rows=sizes, step_rows=st.integers(1, 64), steps=st.integers(1, 300))
def test_a_limit_of_steps_cuts_the_epoch(rows: int, step_rows: int, steps: int) -> None:
    """Into as many steps as asked, of the same rows as the first of the whole epoch."""
    whole, cut = EpochShape.of(rows, step_rows), EpochShape.of(rows, step_rows, steps)
    assert cut.steps == min(steps, whole.steps)
    assert cut.rows == min(rows, steps * step_rows)


@given(rows=st.integers(1, 10_000), replicas=st.integers(1, 64))
def test_replicas_share_the_rows_evenly(rows: int, replicas: int) -> None:
    """They differ by one row at the most, and each begins where the one before ends."""
    shares = [replica_share(rows, replicas, index) for index in range(replicas)]
    counts = [count for _, count in shares]
    assert max(counts) - min(counts) <= 1
    assert [begin for begin, _ in shares] == [sum(counts[:index]) for index in range(replicas)]
    assert sum(counts) == rows


@given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10_000), rows=sizes)
def test_the_order_of_an_epoch_is_a_permutation_that_can_be_repeated(
    seed: int, epoch: int, rows: int
) -> None:
    first = order(seed, epoch, rows)
    assert np.array_equal(np.sort(first), np.arange(rows))
    assert np.array_equal(first, order(seed, epoch, rows))
