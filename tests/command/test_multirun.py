"""The list of a multirun: there as soon as anything trains, so that what is missing can always be run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.commands import read
from tests.support.repository import ROOT
from trainkit.backend.compat.names import kept_names
from trainkit.cli import arguments, main, multirun
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.core.words import override


class Killed(BaseException):
    """As if the process were gone: nothing that the command does at an end is done."""


class Ends(keras.callbacks.Callback):
    """Ends its training in the second epoch, in one of these ways after the other."""

    ways: list[BaseException] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if epoch == 1 and Ends.ways:
            raise Ends.ways.pop(0)


@dataclass(frozen=True)
class Rated(Task):
    """A metric without a name; another width is another program."""

    rows: int = 0
    width: int = 1
    nan: bool = False

    def data(self) -> Splits:
        x = np.linspace(-1, 1, 16, dtype="float32")[:, None]
        rows = Arrays(x, (x > 0).astype("float32"))
        return Splits(rows, rows)

    def model(self, train: Arrays) -> keras.Model:
        layers = [keras.layers.Dense(self.width), keras.layers.Dense(1, activation="sigmoid")]
        return keras.Sequential([keras.Input((1,)), *layers])

    def loss(self) -> str:
        return "binary_crossentropy"

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.AUC(num_thresholds=5)]


def jobs_in(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "jobs.json").read_text())["jobs"]
    return found


@pytest.mark.slow
def test_a_multirun_that_is_killed_in_its_first_job_is_resumed(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The job goes on in its run, the others follow; also by the printed line, whatever the folder."""
    Ends.ways = [Killed(), RuntimeError("the lamp went out")]
    ends = f"callbacks.extra=[{{_target_: {__name__}.Ends}}]"
    with pytest.raises(Killed):
        train("-m", override("runs_dir", "R =2, (it's)"), "trainer.epochs=3,2", ends)
    (folder,) = Path("R =2, (it's)", "multirun").iterdir()
    first, second = jobs_in(folder)
    assert (first["exit"], second["exit"]) == (None, None)
    assert main.main([override("resume", str(folder))]) == 1
    lines = capsys.readouterr().out.splitlines()
    command = next(line for line in lines if line.startswith("Run what is missing:"))
    assert main.main(shlex.split(command.partition("trainkit ")[2])) == 0
    after = jobs_in(folder)
    assert [one["exit"] for one in after] == [0, 0]
    assert Path(str(after[0]["run"])) == Path(str(first["run"])).resolve()
    assert len(read("manifest.json", str(first["run"]))["resumed"]) == 2


def test_a_multirun_whose_jobs_are_all_refused_leaves_nothing(
    train: Callable[..., int], empty_folder: Path
) -> None:
    assert train("-m", "task.nan=true", "trainer.epochs=1,2") == 2
    assert list(empty_folder.iterdir()) == []


def test_each_job_logs_the_names_that_it_would_alone(train: Callable[..., int]) -> None:
    """Of a metric that nobody named, also where the jobs share no program."""
    words = ("trainer.epochs=1", f"task._target_={__name__}.Rated")
    assert train("-m", *words, "task.width=2,3") == 0
    (folder,) = Path("runs/multirun").iterdir()
    values = [set(read("summary.json", str(one["run"]))["val"]) for one in jobs_in(folder)]
    assert values[0] == values[1]
    assert any(name.startswith("auc") for name in values[0])


def test_what_the_first_process_started_stops_when_that_one_is_killed(tmp_path: Path) -> None:
    """Jobs of a launcher and of `tune.jobs`: the signal that saves the state comes, by the command itself."""
    note = f"pathlib.Path({str(tmp_path / 'stopped')!r}).touch()"
    saves = f"signal.signal(signal.SIGTERM, lambda *_: ({note}, os._exit(0)))"
    job = f"import os, pathlib, signal, time; {saves}; print('trains', flush=True); time.sleep(60)"
    command = f"from trainkit.cli import main; main._main = lambda words: exec({job!r}, {{}}); main.main([])"
    starts = (
        "import pathlib; from trainkit.cli.launchers import run_command; "
        f"run_command(['-c', {command!r}], pathlib.Path({str(tmp_path / 'job-1.log')!r}))"
    )
    first = subprocess.Popen([sys.executable, "-c", starts], env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for(lambda: "trains" in (tmp_path / "job-1.log").read_text())
    first.kill()
    first.wait()
    wait_for((tmp_path / "stopped").exists)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if what():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise AssertionError("It did not come.")


def test_a_layer_that_outlives_a_training_keeps_its_name_for_itself() -> None:
    with kept_names():
        backbone, metric = keras.layers.Dense(1), keras.metrics.AUC()
    assert keras.layers.Dense(1).name != backbone.name
    assert keras.metrics.AUC().name == metric.name


@pytest.mark.parametrize(
    ("file", "code", "word"),
    [
        ("checkpoints/best/checkpoint.json", None, "resume=runs/a"),
        ("repeats.json", 130, "resume=runs/a"),
        ("search.json", None, "run_dir=runs/a"),
        ("search.json", 1, "trainer.epochs=2"),  # no trial could be trained: once more
        ("config.yaml", None, "trainer.epochs=2"),  # nothing was saved
    ],
)
def test_a_job_goes_on_where_it_was(empty_folder: Path, file: str, code: int | None, word: str) -> None:
    Path("runs/a", file).parent.mkdir(parents=True)
    Path("runs/a", file).write_text("{}")
    entry = {"overrides": ["trainer.epochs=2"], "run": "runs/a", "exit": code}
    multirun.Multirun(empty_folder, [], [entry]).write()
    missing = multirun.missing_of(arguments.parse([override("resume", str(empty_folder))]))
    assert missing is not None
    assert missing[2][0].overrides[-1] == word
