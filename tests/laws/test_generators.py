"""Rows of generators: as many are read as a training takes, and batches that change end it in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.laws.test_given_splits import SIZE, Given, assert_same, fit, single
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.trainer import generated_rows
from trainkit.trainer.trainer import Trainer


def test_a_generator_without_end_is_read_on_from_epoch_to_epoch_as_far_as_needed() -> None:
    """In batches of 12, of which each epoch takes 48 rows: four of them."""
    read: list[int] = []

    def endless(arrays: Arrays) -> Iterator[tuple[Any, ...]]:
        while True:
            first = 12 * len(read) % 60
            read.append(first)
            yield arrays.take(slice(first, first + 12)).batch()

    def in_order(arrays: Arrays) -> tf.data.Dataset:
        return single(arrays.take(np.arange(2 * 48) % 60))

    trainer, _ = fit(Given(kinds={"train": endless}), epochs=2, limit_train_batches=3)
    assert len(read) == 8
    at_once, _ = fit(Given(kinds={"train": in_order}), epochs=1)
    assert_same(trainer.model.get_weights(), at_once.model.get_weights())


def unlike(change: Callable[[Any], Any]) -> Callable[[Arrays], Any]:
    """A generator of two batches, the second of them changed."""
    return lambda arrays: iter([arrays.batch(), change(arrays.batch())])


MISFITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another width": (lambda batch: (batch[0][:, :2], batch[1]), "Batch 2 of the train rows has x (75, 2)"),
    "no labels": (lambda batch: (batch[0],), "expected rows like those of the first batch, x (75, 6)"),
    "fewer labels": (lambda batch: (batch[0], batch[1][:3]), "one and the same number of rows"),
    "text": (lambda batch: (batch[0].astype(str), batch[1]), "expected rows like those of the first"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_generator_whose_batches_change_is_refused_in_one_line(case: str) -> None:
    change, said = MISFITS[case]
    with pytest.raises(UserError) as raised:
        Trainer(epochs=1, batch_size=SIZE).prepare(Given(kinds={"train": unlike(change)}))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_generator_with_fewer_rows_than_the_epochs_take_trains_as_arrays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless it is too large to be kept: then it ends the training in one line."""
    twice = Given(kinds={"train": unlike(lambda batch: batch)})

    def arrays(rows: Arrays) -> Arrays:
        return rows.take(np.arange(2 * len(rows)) % len(rows))

    trainer, _ = fit(twice, epochs=3, limit_train_batches=4)
    at_once, _ = fit(Given(kinds={"train": arrays}), epochs=3, limit_train_batches=4)
    assert_same(trainer.model.get_weights(), at_once.model.get_weights())
    monkeypatch.setattr(generated_rows, "AHEAD_BYTES", 1)
    for change, said in (
        (lambda batch: batch, "ended after 150 rows"),
        (MISFITS["another width"][0], "Batch 2 of the train rows"),
    ):
        with pytest.raises(UserError, match=said) as raised:
            fit(Given(kinds={"train": unlike(change)}), epochs=3, limit_train_batches=4)
        assert "\n" not in str(raised.value)
