"""A monitored value is followed in the direction that its metric, or somebody, names; none is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.core.errors import UserError
from trainkit.trainer.trainer import Trainer


class Dice(keras.metrics.Mean):
    """Keras knows no direction of it."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(tf.reduce_max(y_pred, axis=-1), sample_weight)


class Diced(Toy):
    def metrics(self) -> list[Any]:
        return [Dice(name="dice")]


@pytest.mark.parametrize("callback", [EarlyStopping("val_dice"), Checkpoints("unused", "val_dice")])
def test_a_direction_that_nobody_names_is_refused_before_anything_is_written(
    callback: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"checkpoint\.mode=max or min"):
        Trainer(epochs=2, callbacks=[callback]).fit(Diced())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_better_epoch_is_that_of_the_mode(mode: str) -> None:
    stopper = EarlyStopping("val_dice", mode=mode, patience=9)
    history = Trainer(epochs=4, callbacks=[stopper]).fit(Diced()).history["val_dice"]
    wanted = min(history) if mode == "min" else max(history)
    assert history[stopper.best_epoch - 1] == wanted


def test_a_run_directory_leaves_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link `latest` once appeared in the working directory."""
    monkeypatch.chdir(tmp_path)
    Trainer(epochs=1, run_dir="mine").fit(Toy())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
