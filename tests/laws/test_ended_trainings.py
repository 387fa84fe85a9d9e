"""A training that a callback has ended is over, until that callback is another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.support.toys import Toy
from trainkit.trainer.trainer import Trainer

TASK = Toy()


class After(keras.callbacks.Callback):
    """Ends the training after an epoch, or a batch of the second epoch."""

    def __init__(self, epoch: int, batch: int | None = None) -> None:
        super().__init__()
        self.after = epoch
        self.batch = batch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.batch is None and epoch == self.after:
            self.model.stop_training = True


class WithinEpoch(After):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self.batch:
            self.model.stop_training = True


def patient(epochs: int) -> keras.callbacks.Callback:
    """Ends after `epochs` + 1 epochs, since the loss never grows by so much."""
    return keras.callbacks.EarlyStopping("loss", mode="max", patience=epochs, min_delta=9.0)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(epochs=5, batch_size=16, execution="step")


def trained(trainer: Trainer, *callbacks: Any, resume: Path | None = None) -> int:
    """Epochs that were trained, or begun."""
    trainer.callbacks = list(callbacks)
    return len(trainer.fit(TASK, resume=resume).epoch)


@pytest.mark.parametrize(
    "make",
    [lambda n: patient(n), lambda n: After(n), lambda n: WithinEpoch(n, 3)],
    ids=["patience", "own", "batch"],
)
def test_a_training_that_a_callback_ended_stays_ended(
    tmp_path: Path, trainer: Trainer, make: Callable[[int], keras.callbacks.Callback]
) -> None:
    """At each resumption, by the same object or a like one; not with other settings, nor without it."""
    first = make(1)
    begun = trained(trainer, first)
    assert begun < 5
    trainer.save_checkpoint(tmp_path / "c")
    for same in (first, make(1), make(1)):
        with pytest.warns(UserWarning, match="stays as it is"):
            assert trained(trainer, same, resume=tmp_path / "c") == 0
        trainer.save_checkpoint(tmp_path / "c")
    assert trained(trainer, make(2), resume=tmp_path / "c") > 0
    assert trained(trainer, resume=tmp_path / "c") >= 3


def test_a_stop_by_the_user_is_no_end(tmp_path: Path, trainer: Trainer) -> None:
    ask = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, _: e or trainer.request_stop("test"))
    assert trained(trainer, ask) == 1
    trainer.save_checkpoint(tmp_path / "c")
    assert trained(trainer, ask, resume=tmp_path / "c") == 4


def test_model_fit_is_resumed_alike(tmp_path: Path) -> None:
    by_keras = Trainer(epochs=5, batch_size=16, engine="keras", run_dir=tmp_path)
    assert trained(by_keras, patient(1)) == 2
    with pytest.warns(UserWarning, match="stays as it is"):
        assert trained(by_keras, patient(1), resume=tmp_path) == 0
    assert trained(by_keras, patient(2), resume=tmp_path) == 1  # the epoch without improvement still counts
