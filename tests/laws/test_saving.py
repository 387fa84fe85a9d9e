"""What is saved while a model trains: at every step that is asked for, by a thread, whatever the disk is."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.toys import Toy
from tests.support.training import fit, fit_again, weights
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.checkpoint import members
from trainkit.checkpoint.writer import Writer
from trainkit.core import files
from trainkit.core.errors import UserError

TASK = Toy(dropout=0.3, batch_norm=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("step-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{}, {"execution": "epoch_xla"}, {"execution": "step"}, {"feed": "stream"}]
)
def test_every_nth_step_can_be_resumed(settings: dict[str, Any], tmp_path: Path) -> None:
    """In the middle of an epoch, with the state of the metrics: a call of the program ends there."""
    trainer, history = fit(TASK, **settings)
    whole = weights(trainer)
    saver = Checkpoints(tmp_path, "val_loss", every_steps=4)
    assert fit_again(trainer, TASK, callbacks=[saver]) == history
    assert all(np.array_equal(a, b) for a, b in zip(whole, weights(trainer), strict=True))
    assert names(tmp_path) == [f"step-{step:08d}" for step in (4, 8, 12)]
    for name, epoch in (("step-00000004", 0), ("step-00000012", 2)):
        values = fit_again(trainer, TASK, resume=tmp_path / name)
        assert all(np.array_equal(a, b) for a, b in zip(whole, weights(trainer), strict=True))
        assert values["loss"] == history["loss"][epoch:]


@pytest.mark.slow
def test_the_newest_and_every_nth_are_kept(tmp_path: Path) -> None:
    saver = Checkpoints(tmp_path, "val_loss", every_steps=2, keep=2, keep_every=3)
    fit(TASK, callbacks=[saver])
    assert names(tmp_path) == [f"step-{step:08d}" for step in (6, 10, 12, 14)]


@pytest.mark.slow
def test_every_so_many_minutes_by_the_clock(tmp_path: Path) -> None:
    times = iter(range(0, 10_000, 20))
    saver = Checkpoints(tmp_path, "val_loss", every_minutes=1, clock=lambda: float(next(times)))
    fit(TASK, callbacks=[saver], execution="step")
    assert names(tmp_path)


@pytest.mark.slow
def test_another_batch_size_goes_on_at_the_same_row_or_is_refused(tmp_path: Path) -> None:
    fit(TASK, callbacks=[Checkpoints(tmp_path, "val_loss", every_steps=2)])
    trainer, _ = fit(TASK, batch_size=8, resume=tmp_path / "step-00000002", epochs=1)
    assert trainer.state.position() == {"epoch": 1, "step_in_epoch": 0, "step": 2 + 6}
    with pytest.raises(UserError, match="no step of 24 rows begins there"):
        fit(TASK, batch_size=24, resume=tmp_path / "step-00000002")


class Full(files.Disk):
    """A full disk, until somebody has waited for a while."""

    def __init__(self, waits: int) -> None:
        self.waits = waits

    def flush(self, path: Path) -> None:
        if self.waits > 0:
            raise OSError(28, "No space left on device")
        super().flush(path)

    def wait(self, seconds: float) -> None:
        self.waits -= 1


@pytest.mark.slow
def test_a_full_disk_does_not_end_a_training(tmp_path: Path) -> None:
    """It warns, tries again, and fails at the end if it was in vain."""
    tried_again = r"No space left.*The training goes on; it is tried again"
    disk = Full(waits=2)
    saver = Checkpoints(tmp_path, "val_loss")
    saver.writer = Writer(disk.wait)
    with files.using(disk), pytest.warns(UserWarning, match=tried_again):
        trainer, _ = fit(TASK, callbacks=[saver])
    assert trainer.state.epoch == members.check(tmp_path / "last")["position"]["epoch"] == 3
    members.check(tmp_path / "best")
    saver.writer = Writer((disk := Full(waits=99)).wait)
    in_vain = pytest.raises(UserError, match=r"could not save .*No space left")
    with files.using(disk), pytest.warns(UserWarning, match=tried_again), in_vain:
        fit(TASK, callbacks=[saver])


def test_what_is_written_needs_no_memory_until_somebody_asks() -> None:
    """A state of a gigabyte would else stay until the next save."""
    writer = Writer()
    state = np.zeros(3)
    gone = threading.Event()
    weakref.finalize(state, gone.set)

    def write(held: list[np.ndarray]) -> None:
        assert len(held) == 1

    writer.submit("last", partial(write, [state]))
    del state
    assert gone.wait(20)
    writer.finish()


def test_a_slow_disk_does_not_fill_the_memory() -> None:
    """A training that saves more often than the disk can write waits before it copies its state once more."""
    writer, disk, written = Writer(), threading.Semaphore(0), list[str]()

    def write(name: str) -> None:
        assert disk.acquire(timeout=20)
        written.append(name)

    for name in ("step-1", "last"):
        writer.make_room(name)
        writer.submit(name, partial(write, name))
    writer.make_room("last")  # it takes the place of the one that waits
    writer.submit("last", partial(write, "last"))
    threading.Timer(0.05, disk.release).start()
    writer.make_room("step-2")
    assert written == ["step-1"]
    writer.submit("step-2", partial(write, "step-2"))
    disk.release(2)
    writer.finish()
    assert written == ["step-1", "last", "step-2"]


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path: Path) -> None:
    saver = Checkpoints(tmp_path, "val_loss")
    saver.writer = Writer(lambda seconds: None)
    trainer, _ = fit(TASK, epochs=1, callbacks=[saver])
    before = members.check(tmp_path / "last")
    weight = trainer.model.trainable_variables[0]
    weight.assign(weight * float("nan"))
    with pytest.warns(UserWarning, match="Checkpoint last is not saved: .* is not finite"):
        saver.after_call(trainer.state, {}, final=True)
    assert members.check(tmp_path / "last") == before


def test_leavings_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    """But not a folder whose name is free: it may hold the only checkpoint."""
    for name in ("last", ".0123abcd-last", ".0123abcd-best"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / ".89abcdef-summary.json").touch()
    (tmp_path / ".hydra").mkdir()
    assert len(files.sweep(tmp_path)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hydra", "checkpoints"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [".0123abcd-best", "last"]
