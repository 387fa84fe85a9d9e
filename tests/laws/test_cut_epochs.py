"""An epoch in which a training ends before its rows do is ended by the training that goes on, once."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.support.toys import Toy
from tests.support.training import difference, fit, fit_again
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.weight_average import WeightAverage
from trainkit.checkpoint.members import read_meta
from trainkit.trainer.trainer import Trainer


class Halved(Toy):
    """The rate is a plain number, which callbacks may change."""

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.SGD(0.1, momentum=0.9)


def counting() -> list[Any]:
    """Callbacks that count epochs; none of them finds one better than the first."""
    return [
        WeightAverage(2),
        EarlyStopping("loss", min_delta=100.0, patience=3, restore_best_weights=False),
        keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=4),
        keras.callbacks.ReduceLROnPlateau("loss", min_delta=100.0, patience=2),
    ]


def counts(trainer: Trainer) -> list[int]:
    average, *others = trainer.callbacks
    return [average.count, *(callback.wait for callback in others)]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_training_cut_within_an_epoch_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    """From its run directory, and from a checkpoint that was saved by hand."""

    def train(run: str | None, resume: str | None = None, **settings: Any) -> Trainer:
        about: Any = {"epochs": 6, "batch_size": 16, "execution": "step", **settings}
        place = None if run is None else tmp_path / run
        trainer = Trainer(callbacks=counting(), run_dir=place, **about)
        trainer.fit(Halved(), resume=None if resume is None else tmp_path / resume)
        return trainer

    whole = train("whole")
    assert whole.state.epoch == 4
    cut = train("cut", steps=12)  # two steps into the third epoch
    assert len(rows(tmp_path / "cut")) == 3, "the cut epoch is logged"
    cut.evaluate()
    cut.save_checkpoint(tmp_path / "by-hand")
    from_run, from_hand = train("cut", "cut"), train(None, "by-hand")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    for rest in (from_run, from_hand):
        assert counts(rest) == counts(whole)
        assert difference(whole, rest) == 0.0
    cut.model.set_weights([0 * w for w in cut.model.get_weights()])
    cut.save_checkpoint(tmp_path / "by-hand")
    cut.restore(tmp_path / "by-hand")
    assert not any(w.any() for w in cut.model.get_weights()), "what was changed since is what is saved"


class StopsAt(keras.callbacks.Callback):
    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.ends: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self.batch:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(epoch)


def test_an_epoch_that_a_batch_hook_ends_is_counted_once_by_the_training_that_goes_on(tmp_path: Path) -> None:
    ends = StopsAt(2)
    average = WeightAverage(1)
    task, saver = Toy(), Checkpoints(tmp_path)
    trainer, _ = fit(task, epochs=2, execution="step", callbacks=[ends, average, saver])
    assert (ends.ends, average.count) == ([0], 1)
    fit_again(trainer, task, callbacks=[average], resume=tmp_path / "last")
    assert average.count == 2


def test_the_best_checkpoint_is_of_a_whole_epoch_if_there_is_one(tmp_path: Path) -> None:
    for steps, position in ((3, (0, 3)), (8, (1, 0))):
        run = tmp_path / str(steps)
        fit(Halved(), steps=steps, callbacks=[Checkpoints(run)])
        best = read_meta(run / "best")["position"]
        assert (best["epoch"], best["step_in_epoch"]) == position
        last = read_meta(run / "last")
        assert last["position"]["step"] == steps
        assert last["callbacks"]["checkpoints"]["best_epoch"] == position[0]
