"""mode=tune: what a search leaves, how it is continued, and what is refused before anything is made."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import QUIET, read, settings, table
from tests.support.repository import ROOT
from trainkit.cli import arguments, compose, main, planning
from trainkit.core import files
from trainkit.tuning.training import TrialTraining

RATE = "tune.space.optimizer.learning_rate={low: 1e-3, high: 1e-1, log: true}"
WIDTH = "tune.space.task.rows={choices: [32, 64]}"
SEARCH = ("mode=tune", "tune=random", "tune.trials=3", RATE, WIDTH, "trainer.epochs=2")


def trials(folder: str = "search") -> list[dict[str, str]]:
    """`trials.csv` without the seconds, which no two searches have in common."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table("trials.csv", folder)]


@pytest.mark.slow
def test_a_search_leaves_its_trials_and_the_best_settings(
    train: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(*SEARCH, "run_dir=search") == 0
    rows = table("trials.csv", "search")
    assert list(rows[0]) == [
        "number", "state", "value", "optimizer.learning_rate", "task.rows", "seconds", "run",
    ]  # fmt: skip
    assert [(row["number"], row["state"], row["run"]) for row in rows] == [
        (str(i), "complete", f"trials/000{i}") for i in range(3)
    ]
    for row in rows:
        epochs = table("metrics.csv", f"search/{row['run']}")
        assert min(float(epoch["val/loss"]) for epoch in epochs) == float(row["value"])
        assert Path("search", row["run"], "checkpoints/last/checkpoint.json").is_file()
    report = Path("search/report.html").read_text()
    assert all(part in report for part in ("History", "Parallel coordinates", "Slices", "Learning curves"))
    best = min(rows, key=lambda row: float(row["value"]))
    assert f"learning_rate: {best['optimizer.learning_rate']}" in Path("search/best.yaml").read_text()
    said = capsys.readouterr().out
    assert f"Best:      val_loss {float(best['value']):.6g} (trial {best['number']})" in said

    # The same command on the same folder: everything is done. Another seed: not this search.
    assert train(*SEARCH, "run_dir=search") == 0
    assert table("trials.csv", "search") == rows
    assert train(*SEARCH, "run_dir=search", "tune.seed=1") == 2
    assert "is a search with tune.seed=0, not 1" in capsys.readouterr().err

    # A search that has not ended says how it goes on.
    assert train(*SEARCH, "run_dir=begun", "tune.timeout=1e-9") == 1
    lines = capsys.readouterr().out.splitlines()
    words = shlex.split(next(line for line in lines if line.startswith("Continue:")))[4:]
    assert main.main([*words, "tune.timeout=null"]) == 0
    assert trials("begun") == trials("search")

    # More trials continue it, as if they had been asked for at once.
    assert train(*SEARCH, "run_dir=search", "tune.trials=4") == 0
    assert train(*SEARCH, "run_dir=whole", "tune.trials=4") == 0
    assert trials("search") == trials("whole")

    # The best settings train by the command that is printed, in any folder.
    words = shlex.split(next(line for line in said.splitlines() if line.startswith("Train it:")))[5:]
    monkeypatch.delitem(sys.modules, "mine")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if not place.startswith(str(tmp_path))])
    assert words == ["--config-dir", "search", "experiment=best"]
    assert main.main([*words, *QUIET, "run_dir=again"]) == 0
    found = read("summary.json", "again")["best"]["value"]
    winner = min(float(row["value"]) for row in table("trials.csv", "search"))
    assert found == pytest.approx(winner, rel=1e-5)


@pytest.mark.parametrize("own", [True, False])
def test_the_best_settings_of_any_task_need_no_other_folder(
    train: Callable[..., int], tmp_path: Path, own: bool
) -> None:
    words = ["--config-dir", str(tmp_path / "my"), "task=tiny"] if own else ["task=boston"]
    found = arguments.parse([*words, "mode=tune", RATE])
    (composed,) = compose.compose(found)
    plan = planning.plan(composed, found)
    files.write_text(Path("search/experiment/best.yaml"), plan.experiment({"trainer.seed": 7}, "trial 0"))
    best = settings("--config-dir", "search", "experiment=best")
    assert (best.name, best.task) == (plan.config.name, plan.config.task)
    assert best.trainer == replace(plan.config.trainer, seed=7)


@pytest.mark.slow
def test_folds_seconds_and_early_ends(train: Callable[..., int]) -> None:
    assert (
        train(*SEARCH, "tune.trials=2", "tune.cv=3", "run_dir=folds", "tune.objectives=[val_loss,seconds]")
        == 0
    )
    rows = table("trials.csv", "folds")
    assert {"value", "value/val_loss", "value/seconds"} <= set(rows[0])
    folds = [table("metrics.csv", f"folds/trials/0000/fold-{i}") for i in (1, 2, 3)]
    means = [min(float(row["val/loss"]) for row in fold) for fold in folds]
    assert float(rows[0]["value"]) == pytest.approx(sum(means) / 3)
    assert train(*SEARCH, "tune.prune=median", "tune.trials=7", "run_dir=pruned", "trainer.epochs=4") == 0
    assert {row["state"] for row in table("trials.csv", "pruned")} <= {"complete", "pruned"}


@pytest.mark.slow
def test_a_failing_trial_does_not_end_the_search(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    space = "tune.space.optimizer.learning_rate={choices: [0.01, 1e39]}"
    assert train("mode=tune", "tune=grid", space, "trainer.epochs=1", "run_dir=search") == 0
    rows = table("trials.csv", "search")
    assert [row["state"] for row in rows] == ["complete", "failed"]
    assert "Failed:    trial 1:" in capsys.readouterr().out
    only = "tune.space.optimizer.learning_rate={choices: [1e39]}"
    assert train("mode=tune", "tune=grid", only, "trainer.epochs=1", "run_dir=nothing") == 1
    assert "experiment=best" not in Path("nothing/report.html").read_text() + capsys.readouterr().out


@pytest.mark.slow
def test_the_best_settings_are_trained_on_all_rows(train: Callable[..., int]) -> None:
    assert train(*SEARCH, "tune.trials=2", "tune.refit=true", "run_dir=search") == 0
    best = min(table("trials.csv", "search"), key=lambda row: float(row["value"]))
    summary = read("summary.json")
    assert summary["status"] == "completed"
    assert summary["monitor"] == "loss", "no rows are left to validate on"
    rate = f"learning_rate: {best['optimizer.learning_rate']}"
    settings = Path("runs/tiny/latest/config.yaml").read_text()
    assert rate in settings
    assert "mode: fit" in settings


WRONG = [
    ((), "task tiny has no file in conf/tune/space"),
    (("tune.space=nothing",), "no such file"),
    (("tune.space.trainer.bach_size=[8,16]",), "did you mean trainer.batch_size?"),
    (("tune.space.trainer.batch_size=[8,0]",), "trainer.batch_size=0: expected a whole number of at least 1"),
    (("tune.space.trainer.batch_size={low: 1, high: many}",), "high=many is no number"),
    (("tune.space.optimzer.learning_rate=[1,2]",), "did you mean optimizer.learning_rate?"),
    (("tune.space.trainer.batch_size={low: 8, high: 16, step: 0.5}",), "8.5 is no value of"),
    (("tune.space.trainer.precision={low: 8, high: 16}",), "a range of numbers, and the setting is float32"),
    ((WIDTH, "task.rows=32"), "task.rows=32 and tune.space.task.rows: the one fixes what the other searches"),
    (("tune.space.optimizer.options.bta=[1,2]",), "does not take these settings"),
    ((RATE, "fit.cv=3"), "fit.cv=3 is for mode=fit; a search takes tune.cv"),
    (("tune.space.optimizer=[adam,sgd]",), "a section takes no value"),
    (("tune.space.tune.trials=[1,2]",), "only settings of a training can be searched"),
    (("tune.space.task.width=[1,-1]",), "tune.space.task.width: -1 cannot be trained: ValueError"),
    (("tune.space.task.nan=[false,true]",), "tune.space.task.nan: True cannot be trained: "),
    ((RATE, "tune=grid"), "tune=grid needs a step or choices"),
    ((RATE, "tune=annealing"), "tune=annealing: unknown"),
    ((RATE, "tune.cv=1"), "tune.cv=1: expected a whole number of at least 2"),
    ((RATE, "tune.prune=wilcoxon"), "wilcoxon compares folds"),
    ((RATE, "tune.objectives=[val_los]"), "Cannot monitor 'val_los'"),
    ((RATE, "tune.objectives=[loss,loss]"), "expected a list of different logged values"),
    ((RATE, "tune.storage=nosuch://x"), "cannot be reached"),
    ((RATE, "tune.refit=true", "task._target_=mine.Cut"), "tune.refit=true: task cut with validation=0.0"),
    ((RATE, "tune.refit=true", "task._target_=mine.Cut", "task.rows=65"), "trainkit: KeyError at "),
    ((RATE, "resume=last"), "a search is continued by its command with run_dir="),
    ((RATE, "tune.cv=3", "trainer.batch_size=4000"), "larger than the data"),
    ((RATE, "trainer.engine=keras"), "trials are trained by trainkit's loop"),
]


@pytest.mark.in_parts(2)
@pytest.mark.slow_but_first
@pytest.mark.parametrize(("words", "line"), WRONG, ids=[line for _, line in WRONG])
def test_what_is_wrong_takes_one_line_and_makes_nothing(
    words: tuple[str, ...],
    line: str,
    train: Callable[..., int],
    empty_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("mode=tune", "tune.trials=2", *words) == 2
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1
    assert list(empty_folder.iterdir()) == []


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "trainkit", "--config-dir", str(folder / "my"), "task=tiny", *QUIET, *words]


@pytest.mark.slow
def test_a_search_that_is_killed_and_joined_equals_one_that_is_not(
    train: Callable[..., int], tmp_path: Path, empty_folder: Path
) -> None:
    long = (
        "mode=tune",
        "tune=bayesian",
        "tune.trials=14",
        RATE,
        WIDTH,
        "trainer.epochs=40",
        "tune.save_every=0.1",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start() -> subprocess.Popen[Any]:
        words = command(tmp_path, *long, "run_dir=killed")
        return subprocess.Popen(words, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)

    process = start()
    wait_for(lambda: done("killed") >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with Path("killed/study.journal").open("ab") as file:
        file.write(b'{"op_code": 5, "tri')
    assert start().wait(timeout=200) == 0
    assert train(*long, "run_dir=whole") == 0
    assert trials("killed") == trials("whole")
    assert [row["state"] for row in trials("killed")] == ["complete"] * 14

    # Two processes: each trial once, by whichever of them; at random, settings do not depend on that.
    drawn = [*(word.replace("bayesian", "random") for word in long), "tune.trials=4"]
    assert train(*drawn, "run_dir=alone") == 0
    assert train(*drawn, 'run_dir="two=2"', "tune.jobs=2") == 0
    assert trials("two=2") == trials("alone")
    assert [row["state"] for row in trials("two=2")] == ["complete"] * 4
    assert Path("two=2", "job-2.log").is_file()


def done(folder: str) -> int:
    path = Path(folder, "study.journal")
    return path.read_bytes().count(b'"op_code":6') if path.is_file() else 0


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, "the search ended before it was killed"
        assert time.monotonic() < end, "the search takes too long"
        time.sleep(0.05)


def test_a_trial_that_exits_is_one_that_failed(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = TrialTraining.train

    def exits_first(self: TrialTraining, candidate: Any, folder: Path, *rest: Any) -> Any:
        if folder.name == "0000":
            raise SystemExit("no such model")
        return usual(self, candidate, folder, *rest)

    monkeypatch.setattr(TrialTraining, "train", exits_first)
    space = "tune.space.trainer.batch_size={choices: [8, 16]}"
    assert train("mode=tune", "tune=grid", space, "trainer.epochs=1", "run_dir=search") == 0
    assert [row["state"] for row in table("trials.csv", "search")] == ["failed", "complete"]
    assert "trial 0: SystemExit: no such model" in capsys.readouterr().out
