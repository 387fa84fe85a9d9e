"""Callbacks that a word switches on: a lower rate on a plateau, a tracker, the learning-rate finder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from tests.support.commands import read, table
from tests.support.fake_tracker import FakeTracker
from trainkit.experiment import callback_factory


def test_the_rate_falls_on_a_plateau(train: Callable[..., int]) -> None:
    words = ["reduce_lr.enabled=true", "reduce_lr.min_delta=100", "reduce_lr.patience=1", "csv=true"]
    assert train(*(f"callbacks.{word}" for word in words), "trainer.epochs=4") == 0
    rates = [float(row["learning_rate"]) for row in table("metrics.csv")]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5]) or rates == pytest.approx(
        [1e-3, 1e-4, 1e-5, 1e-6]
    )


def test_a_rate_that_follows_a_schedule_cannot_fall_on_a_plateau(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("callbacks.reduce_lr.enabled=true", "optimizer.schedule.name=cosine") == 2
    assert "the learning rate follows a schedule" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_tracker_is_told_of_a_run_and_of_its_end(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as without:
        without.setattr("importlib.util.find_spec", lambda name: None)
        assert train("callbacks.tracker.name=mlflow") == 2
    assert "pip install 'trainkit[mlflow]'" in capsys.readouterr().err
    backend = FakeTracker()
    monkeypatch.setattr(callback_factory, "check_installed", lambda name: None)
    monkeypatch.setattr(callback_factory, "make_backend", lambda *_: backend)
    assert train("callbacks.tracker.name=mlflow", "trainer.epochs=2") == 0
    assert [word.split()[0] for word in backend.told] == ["start", "log", "log", "finish"]
    assert "completed" in backend.told[-1]
    assert "test/loss" in backend.told[-1]
    assert backend.settings["trainer.epochs"] == "2"
    assert "summary.json" in backend.files
    failing = "callbacks.extra=[{_target_: mine.Break}]"
    assert train("callbacks.tracker.name=mlflow", failing) == 1
    assert backend.told[-1].startswith("finish failed")


def test_a_learning_rate_is_found_and_no_run_is_made(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("debug=find_lr", "find_lr.steps=60", "run_dir=found") == 0
    found = read("find_lr.json", "found")
    assert found["suggestion"] is None or 1e-6 <= found["suggestion"] <= 10
    assert len(found["rates"]) == len(found["losses"]) >= 10
    assert found["rates"][0] == pytest.approx(1e-6)
    assert Path("found/plots/find_lr.png").is_file()
    assert not Path("found/status.json").exists()
    assert train("debug=find_lr", "find_lr.high=1e-7") == 2
    assert "expected more than find_lr.low=1e-06" in capsys.readouterr().err


@pytest.mark.slow
def test_averaged_weights_are_tested_and_saved(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("callbacks.swa.enabled=true", "trainer.epochs=4", "callbacks.swa.start=0.5") == 0
    assert "(average of 2 epochs, average.keras)" in capsys.readouterr().out
    model = keras.saving.load_model("runs/tiny/latest/average.keras")
    loss = read("summary.json")["test"]["loss"]
    from mine import Tiny

    rows = Tiny().data().test
    assert model.evaluate(rows.x, rows.y, verbose=0, return_dict=True)["loss"] == pytest.approx(
        loss, rel=1e-5
    )
    early = ["callbacks.early_stopping.enabled=true", "callbacks.swa.enabled=true"]
    assert train(*early) == 2
    assert "both decide the last weights" in capsys.readouterr().err
