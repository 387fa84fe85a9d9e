"""A resumed training equals an uninterrupted one, and checkpoints hold what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from tests.support.training import difference, fit, fit_again, weights
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.checkpoint.members import read_meta
from trainkit.config import (
    OptimizerConfig,
)
from trainkit.core.errors import UserError
from trainkit.trainer import execution
from trainkit.trainer.trainer import Trainer


@pytest.mark.slow
def test_resume_equals_uninterrupted(tmp_path: Path) -> None:
    task = Toy(dropout=0.3, batch_norm=True)
    whole, _ = fit(task, epochs=4)
    part, _ = fit(
        task, epochs=2, callbacks=[Checkpoints(tmp_path, "val_loss", every_epochs=1, pattern="{epoch}")]
    )
    assert difference(whole, part) > 0
    rest, _ = fit(task, epochs=4, resume=tmp_path / "last")
    assert difference(whole, rest) == 0.0
    assert rest.state.position() == whole.state.position()
    fit_again(rest, task, resume=tmp_path / "1")
    assert difference(whole, rest) == 0.0


def test_model_fit_refuses_to_begin_in_the_middle_of_an_epoch_and_touches_nothing(tmp_path: Path) -> None:
    Trainer(epochs=2, steps=7, batch_size=16, run_dir=tmp_path).fit(Toy())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"where model\.fit cannot begin"):
        Trainer(epochs=2, batch_size=16, engine="keras", run_dir=tmp_path).fit(Toy(), resume=tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_resume_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if trainer.state.step == 7:
                trainer.request_stop("test")

    task = Toy(dropout=0.3, batch_norm=True)
    trainer, _ = fit(task, execution="step")
    whole = weights(trainer)
    fit_again(trainer, task, callbacks=[Stop(), Checkpoints(tmp_path, "val_loss")])
    assert trainer.stopped == "test"
    assert trainer.state.position() == {"epoch": 1, "step_in_epoch": 2, "step": 7}
    rest, _ = fit(task, resume=tmp_path / "last")
    assert all(np.array_equal(a, b) for a, b in zip(whole, weights(rest), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
def test_a_resumed_run_keeps_to_what_auto_chose(
    xla: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a busy moment could make the rest of a run round otherwise than its beginning."""

    def measured(fast: bool) -> None:
        # Nothing is kept of other measurements, so that only the checkpoint knows.
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache-{fast}"))
        monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.0)
        monkeypatch.setattr(
            execution, "step_seconds", lambda program, *_, **__: 1.0 if program.spec.xla is fast else 2.0
        )

    task = Toy(dropout=0.3, batch_norm=False)
    measured(xla)
    whole, _ = fit(task, epochs=4, execution="measure")
    fit(task, epochs=2, execution="measure", callbacks=[Checkpoints(tmp_path, "val_loss")])
    measured(not xla)
    rest, _ = fit(task, epochs=4, execution="measure", resume=tmp_path / "last")
    assert rest.execution == whole.execution == ("epoch_xla" if xla else "epoch")
    assert difference(whole, rest) == 0.0


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    a, _ = fit(Toy())
    a.save_checkpoint(tmp_path / "c")
    b = Trainer(epochs=1, batch_size=16)
    b.prepare(Toy(batch_norm=True))
    with pytest.raises(UserError, match="of another model or optimizer"):
        b.restore(tmp_path / "c")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_a_resumed_training_stops_early_as_the_whole_one_and_puts_back_the_same_weights(
    engine: str, tmp_path: Path
) -> None:
    def run(
        epochs: int, folder: Path, resume: Path | None = None
    ) -> tuple[Trainer, list[float], Checkpoints]:
        ours = EarlyStopping("val_loss", patience=4, min_delta=0.01)
        keeper = Checkpoints(folder, "val_accuracy")  # another value, so that its best epoch is another one
        if epochs not in trainers:
            overfits = OptimizerConfig(learning_rate=0.2)
            settings: Any = {"execution": "epoch", "engine": engine}
            trainers[epochs] = Trainer(epochs=epochs, batch_size=16, optimizer=overfits, **settings)
        history = fit_again(trainers[epochs], task, callbacks=[keeper, ours], resume=resume)
        return trainers[epochs], history.get("loss", []), keeper

    task = Toy(dropout=0.1)
    trainers: dict[int, Trainer] = {}
    trained, losses, keeper = run(60, tmp_path / "whole")
    whole = trained.model.get_weights()
    stopped, best = len(losses), len(losses) - 4
    assert 1 < best < stopped < 60
    run(best + 2, tmp_path / "part")  # the best epoch lies before the resumption
    starts = {tmp_path / "part" / "last": best + 2, tmp_path / "whole" / "last": stopped}
    assert keeper.best_epoch > best, (
        "so that its checkpoint remembers an early stopping that has waited, and holds its weights"
    )
    starts[tmp_path / "whole" / "best"] = keeper.best_epoch
    for resume, epoch in starts.items():
        resumed, rest, _ = run(60, tmp_path / "part", resume)
        assert rest == losses[epoch:]
        assert all(np.array_equal(x, y) for x, y in zip(whole, resumed.model.get_weights(), strict=True))


@pytest.mark.slow
def test_two_observers_of_one_kind_are_remembered_apart(tmp_path: Path) -> None:
    def observers() -> list[EarlyStopping]:
        return [EarlyStopping(name, patience=50) for name in ("val_loss", "val_accuracy")]

    first, second = observers()
    task = Toy()
    trainer, _ = fit(task, callbacks=[first, second, Checkpoints(tmp_path, "val_loss")])
    again = observers()
    fit_again(trainer, task, callbacks=again, resume=tmp_path / "last")
    assert [m.best_epoch for m in again] == [m.best_epoch for m in (first, second)]
    assert first.best != second.best


def test_a_second_fit_forgets_what_the_observers_of_the_first_remember() -> None:
    ours = EarlyStopping("val_loss", patience=3)
    trainer = Trainer(
        epochs=60,
        batch_size=16,
        execution="epoch",
        callbacks=[ours],
        optimizer=OptimizerConfig(learning_rate=0.2),
    )
    task = Toy()
    first = trainer.fit(task).history
    assert len(first["loss"]) < 60
    assert trainer.fit(task).history == first


def test_a_second_fit_saves_at_the_steps_of_the_first(tmp_path: Path) -> None:
    keeper = Checkpoints(tmp_path, "val_loss", every_steps=5)
    trainer, _ = fit(Toy(), epochs=1, callbacks=[keeper])
    saved = tmp_path / "step-00000005"
    saved.rename(tmp_path / "moved")
    trainer.fit(Toy(n=74))
    assert saved.is_dir()


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_best_epoch(tmp_path: Path) -> None:
    overfits = OptimizerConfig(learning_rate=0.2)
    keeper = Checkpoints(tmp_path, "val_loss")
    trainer, history = fit(Toy(), epochs=30, callbacks=[keeper], optimizer=overfits)
    best = int(np.argmin(history["val_loss"]))
    assert keeper.best_epoch == best + 1 < 30
    assert trainer.evaluate(split="validation", checkpoint=tmp_path / "best")["loss"] == pytest.approx(
        history["val_loss"][best], abs=1e-6
    )
    assert read_meta(tmp_path / "best")["position"]["epoch"] == best + 1


@pytest.mark.slow
def test_epoch_checkpoints_keep_the_newest_and_hold_their_own_epoch(tmp_path: Path) -> None:
    pattern = "e{epoch:02d}-{val_loss:.3f}"
    keeper = Checkpoints(tmp_path, "val_loss", every_epochs=2, keep=2, pattern=pattern)
    trainer, history = fit(Toy(), epochs=7, callbacks=[keeper])
    names = sorted(p.name for p in tmp_path.glob("e*"))
    assert names == [f"e{e:02d}-{history['val_loss'][e - 1]:.3f}" for e in (4, 6)]
    assert trainer.evaluate(split="validation", checkpoint=tmp_path / names[0])["loss"] == pytest.approx(
        history["val_loss"][3], abs=1e-6
    )


class Averaged(Toy):
    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5)


def averaged(folder: Path | None = None, **settings: Any) -> Trainer:
    """A training whose epochs end with the average of the weights, swapped in by Keras's callback."""
    savers = [] if folder is None else [Checkpoints(folder, "val_loss", every_epochs=1, pattern="{epoch}")]
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    return Trainer(batch_size=16, execution="step", callbacks=[swap, *savers], **settings)


@pytest.mark.parametrize("stop", [{"epochs": 2}, {"epochs": 3, "steps": 7}], ids=["extended", "mid_epoch"])
def test_swapped_averages_resume_as_an_uninterrupted_training(stop: dict[str, int], tmp_path: Path) -> None:
    """Also a training that had come to its end, where Keras overwrites the weights that are
    trained."""
    whole = averaged(epochs=3)
    history = whole.fit(Averaged()).history
    part = averaged(tmp_path, **stop)
    part.fit(Averaged())
    rest = averaged(epochs=3)
    rest.fit(Averaged(), resume=tmp_path / "last")
    assert difference(whole, rest) == 0.0
    shown = part.evaluate(split="validation", checkpoint=tmp_path / "1")
    assert shown["loss"] == pytest.approx(history["val_loss"][0], abs=1e-6), "with the average"


@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_a_second_fit_swaps_averages_as_the_first(engine: str, tmp_path: Path) -> None:
    trainer = averaged(tmp_path, epochs=2, engine=engine)
    task = Averaged()
    first = trainer.fit(task).history
    before = weights(trainer)
    assert trainer.fit(task).history == first
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(trainer), strict=True))
    unsaved = averaged(epochs=2, engine=engine)
    unsaved.fit(task)
    assert difference(trainer, unsaved) == 0.0


@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_a_training_that_goes_on_from_a_backup_counts_its_steps_on(engine: str, tmp_path: Path) -> None:
    class Crash(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise RuntimeError("crash")

    def run(*crash: keras.callbacks.Callback) -> Trainer:
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        trainer = Trainer(
            epochs=3, batch_size=16, execution="step", engine=engine, callbacks=[backup, *crash]
        )
        trainer.fit(Toy())
        return trainer

    whole, _ = fit(Toy(), execution="step", engine=engine)
    with pytest.raises(RuntimeError, match="crash"):
        run(Crash())
    rest = run()
    assert rest.state.position() == whole.state.position()
    assert all(
        np.array_equal(a, b) for a, b in zip(whole.model.get_weights(), rest.model.get_weights(), strict=True)
    )
    again = rest.fit(Toy()).epoch
    assert again == [0, 1, 2], "the backup is gone, and forgotten"


def test_a_backup_and_a_checkpoint_are_not_both_brought_back(tmp_path: Path) -> None:
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    fit(Toy(), epochs=1, callbacks=[backup, Checkpoints(tmp_path)])
    with pytest.raises(UserError, match="both bring back a training"):
        fit(Toy(), callbacks=[backup], resume=tmp_path / "last")
