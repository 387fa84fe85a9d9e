"""Batches whose sizes alternate cost no window each."""

from __future__ import annotations

import itertools
import types
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


@pytest.mark.parametrize(("executed", "hooks"), [(1, False), (64, True)])
def test_the_clock_has_no_say_in_whether_batches_are_joined(
    monkeypatch: pytest.MonkeyPatch, executed: int, hooks: bool
) -> None:
    monkeypatch.setattr(given_rows, "SHORT_STEPS", 0)
    monkeypatch.setattr(joined_batches, "FEW", 3)
    for name in ("READ_SECONDS", "PART_SECONDS"):
        monkeypatch.setattr(joined_batches, name, 0.25)
    read = joined_batches.JoinedBatches.window
    seen: list[tuple[int, bool]] = []  # steps of a window, and whether it is a batch as it came

    def noted(self: Any, start: int) -> Any:
        window = read(self, start)
        if window is not None:
            seen.append((window.stop - window.offset, window.direct))
        return window

    monkeypatch.setattr(joined_batches.JoinedBatches, "window", noted)
    windows = []
    sizes = [1] * 4 + [2, 1] * 4 + [2] + [1] * 8 + [2, 2]
    for step in (0.0, 0.1):  # seconds that pass at each look at the clock
        ticks = itertools.count(step=step)
        clock = types.SimpleNamespace(monotonic=ticks.__next__)
        monkeypatch.setattr(joined_batches, "time", clock)
        trained(tk.fit, lambda: generated(sizes=sizes), executed, hooks)
        windows.append(seen[:])
        seen.clear()
    assert len(windows[0]) < len(windows[1])
    kinds = [[direct for steps, direct in one for _ in range(steps)] for one in windows]
    assert kinds[0] == kinds[1]
