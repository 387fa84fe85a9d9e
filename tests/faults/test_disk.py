"""Each operation on the disk fails once, in turn: nothing is lost, and the run can be resumed."""

from __future__ import annotations

import time
import warnings
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.faults import tally
from tests.faults.disks import FailsOnce, LosesPower, ReadOnly
from tests.support.toys import Toy
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.checkpoint import members
from trainkit.checkpoint.writer import Writer
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.runs.metrics_csv import read_rows
from trainkit.trainer.trainer import Trainer

TASK = Toy(dropout=0.2)
EPOCHS = 3


@pytest.fixture
def _every_save_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """After every epoch: how often else is a matter of what a save costs, and a later one takes the place of
    one that waits, so that a busy machine has fewer."""
    submit = Writer.submit

    def submit_and_wait(self: Writer, *given: Any, **named: Any) -> None:
        submit(self, *given, **named)
        for job in self._jobs:
            job.result.exception()

    monkeypatch.setattr(Writer, "submit", submit_and_wait)
    monkeypatch.setattr(Checkpoints, "_last_is_due", lambda self: True)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """One trainer for all fits: it compiles once."""
    return Trainer(epochs=EPOCHS, batch_size=16, execution="epoch", epochs_per_call=1)


def train(trainer: Trainer, run: Path, **arguments: Any) -> list[np.ndarray]:
    trainer.run_dir = run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(TASK, **arguments)
    return [value for _, value in members.read_arrays(*last(run), "variables.bin")]


def last(run: Path) -> tuple[Path, dict[str, Any]]:
    folder = run / "checkpoints" / "last"
    return folder, members.check(folder)


def go_on(trainer: Trainer, run: Path) -> tuple[list[np.ndarray], Path]:
    """Resume a run from what is whole in it, or begin again beside it; where the run is."""
    good = members.newest_good(run / "checkpoints")
    place = run if good is not None or not run.exists() else run.with_name(f"{run.name}-again")
    return train(trainer, place, resume=good), place


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def epochs(run: Path) -> list[str]:
    return [row["epoch"] for row in read_rows(run / "metrics.csv")]


@pytest.mark.slow
def test_every_operation_fails_once_and_nothing_is_lost(trainer: Trainer, tmp_path: Path) -> None:
    counting = FailsOnce(0)
    with files.using(counting):
        whole = train(trainer, tmp_path / "whole")
    outcomes = {"went on": 0, "ended, and was resumed": 0}
    tally.add(counting.count)
    for number in range(1, counting.count + 1):
        run = tmp_path / str(number)
        disk = FailsOnce(number)
        try:
            with files.using(disk):
                after = train(trainer, run)
            outcomes["went on"] += 1
        except UserError:
            after, run = go_on(trainer, run)
            outcomes["ended, and was resumed"] += 1
        assert same(whole, after), disk.failed
        assert epochs(run) == [str(epoch) for epoch in range(1, EPOCHS + 1)], disk.failed
    assert sum(outcomes.values()) == counting.count > 40
    assert outcomes["went on"] > 0


@pytest.mark.usefixtures("_every_save_is_written")
def test_a_disk_that_becomes_read_only_does_not_end_the_training_at_once(
    trainer: Trainer, tmp_path: Path
) -> None:
    """It fails at its end, and says why; what was saved before is whole."""
    whole = train(trainer, tmp_path / "whole")
    with files.using(ReadOnly(after=12)), pytest.raises(UserError, match="Read-only file system"):
        train(trainer, tmp_path / "run")
    assert trainer.state.epoch == EPOCHS
    assert same(whole, go_on(trainer, tmp_path / "run")[0])


@pytest.mark.usefixtures("_every_save_is_written")
def test_a_power_loss_at_any_moment_leaves_a_state_that_can_be_resumed(
    trainer: Trainer, tmp_path: Path
) -> None:
    """Whatever was not flushed is gone then."""
    disk = LosesPower(tmp_path)
    with files.using(disk):
        whole = train(trainer, tmp_path / "run")
    tally.add(len(disk.images))
    saved, resumed = 0, set()
    for number, image in enumerate(disk.images):
        found = [name for name in image if name.endswith("/" + members.META) and "/." not in name]
        if saved and not found:
            pytest.fail(f"after flush {number} there is no checkpoint any more")
        saved += bool(found)
        state = tuple(sorted(image.get(name, b"") for name in found))
        if not found or state in resumed:
            continue
        resumed.add(state)
        place = tmp_path / f"after-{number}"
        for name, content in image.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
        good = members.newest_good(place / "run" / "checkpoints")
        assert good is not None, number
        assert same(whole, train(trainer, place / "run", resume=good)), number
    assert saved
    assert len(resumed) > 2


def test_a_clock_that_goes_back_changes_nothing(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an hour each time that somebody looks at it, and also from one process to the next."""
    whole = train(trainer, tmp_path / "whole")
    hours = iter(range(500_000, 0, -1))

    class Back(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Back:
            return cls.fromtimestamp(3600 * next(hours), tz)

    monkeypatch.setattr(time, "time", lambda: 3600.0 * next(hours))
    monkeypatch.setattr(files, "datetime", Back)
    trainer.callbacks = [StopAfter(1)]
    train(trainer, tmp_path / "run")
    trainer.callbacks = []
    assert trainer.state.epoch == 1
    tally.add(EPOCHS)
    assert same(whole, go_on(trainer, tmp_path / "run")[0])
    assert epochs(tmp_path / "run") == [str(epoch) for epoch in range(1, EPOCHS + 1)]


class StopAfter(keras.callbacks.Callback):
    """Stops a training after an epoch."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = epoch + 1 >= self.epochs
