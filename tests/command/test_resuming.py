"""Runs that are continued, repeated or opened again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.commands import QUIET, read, table
from trainkit.cli import main
from trainkit.core.errors import UserError
from trainkit.runs import run_dir
from trainkit.runs.lock import locked


@pytest.mark.slow
@pytest.mark.parametrize("task", ["Tiny", "Shuffled"])
def test_a_resumed_run_equals_an_uninterrupted_one(train: Callable[..., int], task: str) -> None:
    assert train("trainer.epochs=5", "run_dir=whole", f"task._target_=mine.{task}") == 0
    assert train("trainer.epochs=2", "run_dir=parts", f"task._target_=mine.{task}") == 0
    assert main.main(["resume=parts", "trainer.epochs=5", "progress=none"]) == 0
    whole, parts = read("summary.json", "whole"), read("summary.json", "parts")
    assert (whole["epochs"], whole["steps"]) == (5, 20)
    for run in ("whole", "parts"):
        assert (read("status.json", run)["epoch"], read("status.json", run)["step"]) == (5, 20)
    for key in ("epochs", "steps", "best", "train", "val", "test"):
        assert whole[key] == parts[key]
    assert read("manifest.json", "parts")["resumed"][0]["epoch"] == 2


@pytest.mark.slow
def test_a_run_that_stopped_early_is_left_alone_until_it_may_wait_longer(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    early = [
        f"callbacks.early_stopping.{setting}" for setting in ("enabled=true", "patience=2", "min_delta=1")
    ]
    assert train("trainer.epochs=9", "optimizer.learning_rate=1e-9", *early) == 0
    before = read("summary.json")
    assert before["epochs"] == 3
    assert "(last weights, put back to epoch 1 by early stopping)" in capsys.readouterr().out
    assert main.main(["resume=runs/tiny/latest", "progress=none"]) == 0
    assert (
        "stopped early after 3 epochs; to train on, set callbacks.early_stopping.patience to more than 2"
        in capsys.readouterr().out
    )
    assert read("summary.json") == before
    assert main.main(["resume=runs/tiny/latest", "progress=none", "callbacks.early_stopping.patience=4"]) == 0
    assert read("summary.json")["epochs"] == 5


@pytest.mark.slow
def test_a_complete_run_is_left_alone(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = read("summary.json")
    assert trained("resume=last") == 0
    assert "is complete" in capsys.readouterr().out
    assert read("summary.json") == before
    assert len(list(Path("runs/tiny").glob("2*"))) == 1


@pytest.mark.slow
def test_a_stopped_run_that_is_further_than_asked_is_said_to_train_nothing(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """And keeps the values of its last epoch, though it has no `metrics.csv` to read them from."""
    run = Path("runs/tiny/latest").resolve()
    status = read("status.json")
    (run / "status.json").write_text(json.dumps({**status, "status": "preempted"}))
    before = read("summary.json")
    epochs = before["epochs"]
    assert not (run / "metrics.csv").exists()
    capsys.readouterr()
    assert main.main([f"resume={run}", f"trainer.epochs={epochs - 1}", "progress=none"]) == 0
    said = capsys.readouterr().out
    assert f"is at epoch {epochs}; trainer.epochs={epochs - 1} trains no more." in said
    assert before["train"]
    assert {name: read("summary.json")[name] for name in ("epochs", "train", "val")} == {
        name: before[name] for name in ("epochs", "train", "val")
    }
    assert read("status.json")["status"] == "completed"


@pytest.mark.slow
def test_a_resumed_run_keeps_its_settings_but_for_those_named(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    sgd = ("optimizer=sgd", "optimizer.learning_rate=0.1")
    assert train("trainer.batch_size=4", *sgd, "callbacks.csv=true") == 0
    assert (
        main.main(
            ["resume=runs/tiny/latest", "trainer.epochs=4", "optimizer.learning_rate=0.5", "progress=none"]
        )
        == 0
    )
    config = yaml.safe_load(Path("runs/tiny/latest/config.yaml").read_text())
    assert (config["trainer"]["batch_size"], config["trainer"]["epochs"], config["optimizer"]["name"]) == (
        4,
        4,
        "sgd",
    )
    assert config["optimizer"]["learning_rate"] == 0.5
    assert "optimizer.learning_rate is 0.5 now; the run began with 0.1" in capsys.readouterr().out
    # And it takes effect.
    assert [float(row["learning_rate"]) for row in table("metrics.csv")] == pytest.approx(
        [0.1, 0.1, 0.1, 0.5]
    )


@pytest.mark.slow
def test_another_task_cannot_resume_a_run(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["resume=runs/tiny/latest", "task=boston"]) == 2
    assert "is a run of task tiny" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_wrong_use_and_leaves_the_run_alone(
    train: Callable[..., int],
) -> None:
    assert train("optimizer=sgd") == 0
    assert train("resume=last", "trainer.epochs=9", "optimizer=adam") == 2
    assert read("status.json")["status"] == "completed"


@pytest.mark.slow
def test_a_run_is_repeated_from_its_own_config(train: Callable[..., int]) -> None:
    assert train("trainer.seed=3", "run_dir=first") == 0
    assert main.main(["--config-dir", "first", "--config-name", "config"]) == 0
    assert read("summary.json")["test"] == read("summary.json", "first")["test"]
    assert Path("runs/tiny/latest/config.yaml").read_text() == Path("first/config.yaml").read_text()
    assert "${" not in Path("first/config.yaml").read_text()


def resumed(run: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether the last command said of this run that it is complete: then it would have resumed this one."""
    return f"{run.name} is complete" in capsys.readouterr().out


@pytest.mark.slow
def test_resume_last_means_the_newest_run_of_the_task_or_of_all(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if names do not tell the time: one run has a name of its own, and is older than the other."""
    assert train("name=first", "run_dir=runs/first/zebra") == 0
    assert train() == 0
    newest = Path("runs/tiny/latest").resolve()
    capsys.readouterr()
    assert main.main(["resume=last", "progress=none"]) == 0
    assert resumed(newest, capsys)
    assert main.main(["resume=last", "name=first", "progress=none"]) == 0
    assert resumed(Path("runs/first/zebra"), capsys)
    assert train("resume=last") == 0
    assert resumed(newest, capsys)
    assert main.main(["resume=last", "run_dir=runs/first/zebra", "progress=none"]) == 0
    assert resumed(Path("runs/first/zebra"), capsys)
    assert main.main(["resume=last", "task=boston"]) == 2
    assert "no run in runs/boston" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluating_without_a_name_means_the_newest_run_of_all(trained: Callable[..., int]) -> None:
    assert main.main(["mode=evaluate"]) == 0
    assert read("evaluate.json")["checkpoint"] == "best"


def test_what_cannot_be_evaluated_is_refused_before_evaluating(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["mode=evaluate", "evaluate.importance=true"]) == 2
    printed = capsys.readouterr()
    assert "task tiny has no columns to shuffle; leave it out" in printed.err.lower()
    assert "validation" not in printed.out


@pytest.mark.slow
def test_an_experiment_changes_of_a_resumed_run_what_it_sets(
    train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written for any task, so the settings that it leaves alone are the run's."""
    folder = tmp_path / "my" / "experiment"
    folder.mkdir()
    (folder / "slow.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /optimizer: sgd\ntrainer: {seed: 0, epochs: 4}\n"
    )
    assert train("optimizer=sgd", "trainer.batch_size=4", "optimizer.learning_rate=0.5") == 0
    capsys.readouterr()
    words = ["--config-dir", str(tmp_path / "my"), "resume=last", "experiment=slow", "progress=none"]
    assert main.main(words) == 0
    assert "optimizer.learning_rate is None now; the run began with 0.5" in capsys.readouterr().out
    config = yaml.safe_load(Path("runs/tiny/latest/config.yaml").read_text())
    assert config["name"] == "tiny"
    assert config["task"]["_target_"] == "mine.Tiny"
    assert (config["trainer"]["batch_size"], config["trainer"]["epochs"]) == (4, 4)


@pytest.mark.slow
def test_an_experiment_of_another_task_cannot_resume_a_run(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["resume=runs/tiny/latest", "experiment=boston_ema"]) == 2
    assert "is a run of task tiny" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["evaluate", "predict", "export"])
def test_where_results_cannot_be_written_nothing_is_computed(
    mode: str,
    trained: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "access", lambda path, kind: kind != os.W_OK)
    capsys.readouterr()
    assert main.main([f"mode={mode}", "resume=runs/tiny/latest"]) == 2
    shown = capsys.readouterr()
    assert "cannot be written. Copy it" in shown.err
    assert "Checkpoint:" not in shown.out


def test_a_run_that_is_being_written_is_refused_before_anything_else(
    trained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a new run, with a resumed one, and with two that begin at the same moment."""
    run = Path("runs/tiny/latest").resolve()
    shown = f"runs/tiny/{run.name}"
    with locked(run):
        assert trained(f"run_dir={shown}") == 2
        assert main.main([f"resume={shown}", *QUIET]) == 2
        with pytest.raises(UserError, match="is being written by process"):
            run_dir.create(run, "runs", "tiny")
    said = capsys.readouterr()
    begin = f"trainkit: Run {shown} is being written by process {os.getpid()} on "
    assert [line.startswith(begin) for line in said.err.splitlines()] == [True, True]
    assert said.out == ""
