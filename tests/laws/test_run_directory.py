"""A training from Python leaves what the command leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.support.moving import Move
from tests.support.toys import Toy
from tests.support.training import difference, fit
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.observer import Observer
from trainkit.callbacks.tensorboard import TensorBoard
from trainkit.core.errors import UserError
from trainkit.runs.lock import locked
from trainkit.trainer.trainer import Trainer


def test_a_run_directory_from_python_holds_curves_checkpoints_and_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(epochs=3, batch_size=16, execution="epoch", run_dir=tmp_path / "run", progress="plain")
    history = trainer.fit(Toy()).history
    run = tmp_path / "run"
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [float(row["val/loss"]) for row in rows] == history["val_loss"]
    assert json.loads((run / "status.json").read_text())["status"] == "completed"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best"]["value"] == pytest.approx(min(history["val_loss"]))
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last", "best"}
    assert (run / "plots" / "loss.png").stat().st_size > 1000
    assert "Epoch 3/3" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_from_python_resumes_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, _ = fit(Toy(dropout=0.3), epochs=4)
    first = Trainer(epochs=2, batch_size=16, execution="epoch", run_dir=tmp_path)
    first.fit(Toy(dropout=0.3))
    rest = Trainer(epochs=4, batch_size=16, execution="epoch", run_dir=tmp_path)
    rest.fit(Toy(dropout=0.3), resume="last")  # as an occupied run_dir advises
    assert difference(whole, rest) == 0.0
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 5


def test_last_and_best_are_those_of_the_run_directory(tmp_path: Path) -> None:
    trainer = Trainer(epochs=2, batch_size=16, execution="epoch", run_dir=tmp_path / "run")
    with pytest.raises(UserError, match="run does not exist"):
        trainer.fit(Toy(), resume="last")
    trainer.fit(Toy())
    for name in ("last", "best"):
        place = tmp_path / "run" / "checkpoints" / name
        assert trainer.evaluate(checkpoint=name) == trainer.evaluate(checkpoint=place)
    assert trainer.fit(Toy(), resume="last").epoch == []
    with pytest.raises(UserError, match="last does not exist"):
        Trainer(epochs=2).fit(Toy(), resume="last")


def test_a_damaged_best_checkpoint_is_told_and_chosen_anew_from_python(tmp_path: Path) -> None:
    settings = {"batch_size": 16, "execution": "epoch", "run_dir": tmp_path / "run"}
    Trainer(epochs=2, **settings).fit(Toy())
    path = tmp_path / "run" / "checkpoints" / "best" / "variables.bin"
    path.write_bytes(path.read_bytes()[:-1])
    trainer = Trainer(epochs=4, **settings)
    with pytest.warns(UserWarning, match="is damaged or gone"):
        trainer.fit(Toy(), resume="last")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["best"]["epoch"] > 2
    assert trainer.evaluate(checkpoint="best")


class EachStep(Observer):
    """Knows its steps from the beginning of a training on."""

    def next_step(self, step: int) -> int | None:
        return int(self.known) + step  # type: ignore[attr-defined]


def test_what_model_fit_cannot_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    refused: list[dict[str, Any]] = [
        {"steps": 10},
        {"on_nonfinite": "restore"},
        {"callbacks": [Checkpoints(tmp_path / "own", every_steps=2)]},
        {"callbacks": [EachStep()]},
    ]
    for settings in refused:
        with pytest.raises(UserError, match=r"model\.fit|whole epochs"):
            Trainer(engine="keras", batch_size=16, run_dir=tmp_path / "run", **settings).fit(Toy())
    trainer = Trainer(engine="keras", run_dir=tmp_path / "run")
    trainer.config.steps = 10
    with pytest.raises(UserError, match="whole epochs"):
        trainer.fit(Toy())
    assert not list(tmp_path.iterdir())


def test_a_directory_that_holds_something_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something"):
        Trainer(epochs=1, batch_size=16, run_dir=tmp_path).fit(Toy())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class Fails(keras.callbacks.Callback):
    def on_train_begin(self, logs: Any = None) -> None:
        raise RuntimeError("mine")


def test_a_directory_in_which_nothing_was_saved_is_free_for_the_next_training(tmp_path: Path) -> None:
    run = tmp_path / "run"
    about: Any = {"epochs": 1, "batch_size": 16, "execution": "epoch", "run_dir": run}
    with pytest.raises(UserError, match="Cannot monitor 'foo'"):
        Trainer(callbacks=EarlyStopping("foo"), **about).fit(Toy())
    assert not run.exists(), "refused before anything was written"
    with pytest.raises(RuntimeError, match="mine"):
        Trainer(callbacks=Fails(), **about).fit(Toy())
    assert json.loads((run / "status.json").read_text())["status"] == "failed"
    (run / "error.txt").touch()
    (run / "metrics.csv").write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(UserError, match="already holds something"):
        Trainer(**about).fit(Toy())  # over an epoch that somebody may want to see
    (run / "metrics.csv").unlink()
    Trainer(**about).fit(Toy())
    assert not (run / "error.txt").exists()
    with pytest.raises(UserError, match="already holds something"):
        Trainer(**about).fit(Toy())


def test_a_training_that_goes_on_takes_no_directory_but_its_own(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        Trainer(epochs=1, batch_size=16, execution="epoch", run_dir=folder).fit(Toy())
    before = {path.name: path.read_bytes() for path in b.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="already holds something"):
        Trainer(epochs=2, batch_size=16, execution="epoch", run_dir=b).fit(Toy(), resume=a)
    assert {path.name: path.read_bytes() for path in b.iterdir() if path.is_file()} == before


def test_a_refused_training_leaves_the_directory_of_the_one_that_runs_as_it_is(tmp_path: Path) -> None:
    Trainer(epochs=1, batch_size=16, execution="epoch", run_dir=tmp_path).fit(Toy())
    before = (tmp_path / "manifest.json").read_bytes()
    with locked(tmp_path), pytest.raises(UserError, match="is being written"):
        Trainer(epochs=9, batch_size=16, seed=7, run_dir=tmp_path).fit(Toy(), resume=tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"limit_train_batches": 0}, "limit_train_batches=0"),
        ({"execution": "epcoh"}, "did you mean epoch"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"epochs": "5"}, "epochs"),
        ({"progress": "loud"}, "progress=loud"),
    ],
)
def test_a_trainer_from_python_is_checked_as_the_command_is(settings: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        Trainer(**settings)  # type: ignore[arg-type]


def test_a_training_whose_run_directory_is_moved_ends_and_goes_on_from_its_new_place(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    settings = {"epochs": 4, "batch_size": 16, "execution": "epoch"}
    board = TensorBoard(old / "tensorboard", {}, {})
    trainer = Trainer(run_dir=old, callbacks=[board, Move(str(old), str(new))], **settings)
    with pytest.raises(UserError, match=r"it is now .*new. It holds .*fit\(task, resume='last'\)"):
        trainer.fit(Toy())
    assert not old.exists()
    Trainer(run_dir=new, **settings).fit(Toy(), resume="last")
    assert json.loads((new / "status.json").read_text())["status"] == "completed"
