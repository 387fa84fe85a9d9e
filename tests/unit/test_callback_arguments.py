"""Arguments of trainkit's callbacks are checked when these are made: no impossible one means another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.toys import Toy
from trainkit.callbacks import (
    Checkpoints,
    EarlyStopping,
    RateFinder,
    SetLearningRate,
    TensorBoard,
    WeightAverage,
)
from trainkit.core.errors import UserError
from trainkit.trainer import Trainer


def stop(**given: Any) -> Any:
    return EarlyStopping("val_loss", **given)


def save(**given: Any) -> Any:
    return Checkpoints("unused", **given)


IMPOSSIBLE: dict[str, tuple[Callable[[], Any], str]] = {
    "mode, capitals": (lambda: stop(mode="MIN"), "EarlyStopping: mode=MIN: unknown; did you mean min?"),
    "mode, another word": (lambda: stop(mode="minimum"), "did you mean min?"),
    "mode, a number": (lambda: stop(mode=1), "mode=1: expected one of auto, min, max, got int"),
    "mode of checkpoints": (lambda: save(mode="Max"), "Checkpoints: mode=Max: unknown; did you mean max?"),
    "patience, none": (lambda: stop(patience=0), "patience=0: expected a whole number of at least 1"),
    "patience, a share": (lambda: stop(patience=2.5), "patience=2.5: expected a whole number"),
    "patience, text": (lambda: stop(patience="a"), "patience='a': expected a whole number"),
    "min_delta": (lambda: stop(min_delta=-1), "min_delta=-1: expected a number of at least 0"),
    "restore": (lambda: stop(restore_best_weights="no"), "restore_best_weights='no': expected true or false"),
    "keep, none": (lambda: save(keep=0), "keep=0: expected a whole number of at least 1"),
    "every_epochs": (lambda: save(every_epochs=0), "every_epochs=0: expected a whole number of at least 1"),
    "every_minutes": (lambda: save(every_minutes=-1), "every_minutes=-1: expected a number greater than 0"),
    "pattern": (lambda: save(pattern="all"), "pattern=all: expected a file name with {epoch}"),
    "start, before the first": (lambda: WeightAverage(0), "start=0: expected a whole number of at least 1"),
    "start, text": (lambda: WeightAverage("2"), "WeightAverage: start='2': expected a whole number"),
    "a rate": (lambda: SetLearningRate(0.0), "value=0.0: expected a number greater than 0"),
    "the last rate": (lambda: RateFinder(0.1, 0.01, 5, 4, 10), "high=0.01: expected a number greater than"),
    "histograms": (lambda: TensorBoard("unused", {}, {}, 0), "histograms_every=0: expected a whole number"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_argument_is_refused_in_one_line(case: str) -> None:
    make, said = IMPOSSIBLE[case]
    with pytest.raises(UserError) as raised:
        make()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    assert EarlyStopping(patience=np.int64(3), min_delta=np.float32(0.1)).rule.patience == 3
    assert Checkpoints(tmp_path, every_steps=np.int32(3), every_minutes=1).every_steps == 3


def test_an_average_that_begins_after_the_end_is_told() -> None:
    with pytest.warns(UserWarning, match="it begins with epoch 9, and the training has 1"):
        Trainer(epochs=1, batch_size=16, callbacks=WeightAverage(9)).fit(Toy())
