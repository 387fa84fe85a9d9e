"""What trackers of experiments are told; each real one is tried where its package is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_tracker import FakeTracker
from tests.support.observing import begin, end_epoch
from tests.support.run_directories import make_run
from trainkit.callbacks.trackers import Tracker, check_installed, make_backend
from trainkit.core.errors import UserError

SETTINGS = {"trainer": {"epochs": 2, "steps": None}, "task": {"units": [8, 8]}}


def train(backend: Any, run: Path, epochs: int = 2) -> Tracker:
    tracker = begin(Tracker(backend, run, SETTINGS), epochs=epochs)
    for number in range(1, epochs + 1):
        end_epoch(tracker, number, {"loss": 1 / number, "val_top@5": 0.5})
    tracker.write_results({"test/loss": 0.25}, epochs)
    tracker.finish_run("completed")
    return tracker


def test_a_tracker_is_told_settings_epochs_results_and_files(tmp_path: Path) -> None:
    backend = FakeTracker()
    train(backend, make_run(tmp_path / "run").path)
    assert backend.told == ["start run None", "log 1", "log 2", "finish completed {'test/loss': 0.25}"]
    assert backend.settings == {
        "trainer.epochs": "2",
        "task.units": "[8, 8]",
        "data set": "Toys",
        "execution": "epoch",
    }
    values = {"train/loss": 1.0, "val/top_5": 0.5, "learning_rate": 0.01, "seconds": 0.25}
    assert backend.values[1] == values
    assert backend.files == ["config.yaml", "manifest.json", "summary.json", "metrics.csv"]


def test_a_resumed_run_is_one_run_of_the_tracker(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run").path
    train(FakeTracker(), run)
    backend = FakeTracker()
    train(backend, run)
    assert backend.told[0] == "start run id-1"


def test_a_tracker_that_fails_is_warned_of_once_and_the_training_goes_on(tmp_path: Path) -> None:
    backend = FakeTracker(fails_at=2)
    with pytest.warns(UserWarning, match="fake fails, and is told no more: ConnectionError") as warned:
        train(backend, make_run(tmp_path / "run").path, epochs=4)
    assert backend.told == ["start run None", "log 1"]
    assert len(warned) == 1


def test_a_tracker_that_failed_is_told_of_the_next_training(tmp_path: Path) -> None:
    backend = FakeTracker(fails_at=2)
    with pytest.warns(UserWarning, match="fails"):
        tracker = train(backend, make_run(tmp_path / "run").path)
    backend.told.clear()
    begin(tracker, epochs=1)
    end_epoch(tracker, 1)
    tracker.finish_run("preempted")
    assert backend.told == ["start run id-1", "log 1", "finish preempted {}"]


def test_a_missing_tracker_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_installed("none")
    with pytest.raises(UserError, match=r"needs mlflow.*pip install 'trainkit\[mlflow\]'"):
        check_installed("mlflow")


def test_a_version_of_aim_that_cannot_read_what_it_wrote_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.29.1")
    check_installed("wandb")
    with pytest.raises(
        UserError, match=r"aim 3\.29\.1 finds none of the runs.*pip install 'trainkit\[aim\]'"
    ):
        check_installed("aim")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.28.0")
    check_installed("aim")


@pytest.mark.slow
@pytest.mark.filterwarnings("error:.*is told no more")
@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_keeps_a_run_in_a_folder(tmp_path: Path) -> None:
    import mlflow

    run = make_run(tmp_path / "run").path
    for _ in range(2):  # the second goes on with the first
        train(make_backend("mlflow", "toys", str(tmp_path / "kept"), "runs"), run)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'kept' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("toys")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["trainer.epochs"] == "2"
    assert found.data.metrics["train/loss"] == 0.5
    assert found.data.metrics["test/loss"] == 0.25
    assert "summary.json" in [file.path for file in client.list_artifacts(found.info.run_id)]


@pytest.mark.slow
@pytest.mark.filterwarnings("error:.*is told no more")
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_keeps_an_offline_run_in_a_folder(tmp_path: Path) -> None:
    train(make_backend("wandb", "toys", str(tmp_path / "kept"), "runs"), make_run(tmp_path / "run").path)
    (kept,) = (tmp_path / "kept" / "wandb").glob("offline-run-*")
    assert list(kept.glob("*.wandb"))
    assert (kept / "files" / "summary.json").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("error:.*is told no more")
@pytest.mark.skipif(importlib.util.find_spec("aim") is None, reason="aim is not installed")
def test_aim_keeps_a_run_in_a_folder(tmp_path: Path) -> None:
    import aim

    run = make_run(tmp_path / "run").path
    for _ in range(2):  # the second goes on with the first
        train(make_backend("aim", "toys", str(tmp_path / "kept"), "runs"), run)
    (found,) = aim.Repo(str(tmp_path / "kept")).iter_runs()
    assert (found.name, found.experiment, found["status"]) == ("run", "toys", "completed")
    assert found["settings"]["trainer.epochs"] == "2"
    assert found["results"] == {"test/loss": 0.25}
    losses = {metric.name: metric.values.last()[1] for metric in found.metrics()}
    assert losses["train/loss"] == 0.5
    assert (tmp_path / "kept" / "artifacts" / found.hash / "summary.json").exists()
