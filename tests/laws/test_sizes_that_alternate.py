"""Batches whose sizes alternate cost no window each."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf

import trainkit as tk
from tests.support.small_batches import alike, generated, trained
from trainkit.trainer import given_rows, joined_batches

pytestmark = pytest.mark.filterwarnings("ignore:.*ran out of data", "ignore:.*shuffle=True")


@pytest.mark.parametrize(("executed", "hooks"), [(1, False), (12, True)])
def test_batches_that_alternate_in_size_are_not_filled(
    monkeypatch: pytest.MonkeyPatch, executed: int, hooks: bool
) -> None:
    filled: list[Any] = []
    join = joined_batches.JoinedBatches._joined

    def noted(self: Any, *parts: Any, **counts: Any) -> Any:
        filled.append(len(parts))
        return join(self, *parts, **counts)

    monkeypatch.setattr(joined_batches.JoinedBatches, "_joined", noted)
    monkeypatch.setattr(given_rows, "SHORT_STEPS", 0)
    monkeypatch.setattr(joined_batches, "MAX_STEPS", 4)
    monkeypatch.setattr(joined_batches, "FEW", 2)
    sizes = [2] * 4 + [2, 1] * 12

    def data() -> tf.data.Dataset:
        return generated(sizes=sizes)

    wanted, calls = trained(keras.Model.fit, data, executed, hooks)
    found, called = trained(tk.fit, data, executed, hooks)
    assert called == calls
    assert len(filled) < 12  # of two epochs
    alike(found, wanted)
