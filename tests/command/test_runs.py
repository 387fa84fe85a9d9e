"""Trainings by the command: what they leave, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
import yaml

from tests.support.commands import QUIET, read, table
from tests.support.repository import ROOT
from trainkit.cli import main
from trainkit.config import Config
from trainkit.experiment import shared_programs


@pytest.mark.slow
def test_a_run_leaves_its_directory(train: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert train("callbacks=default", "progress=plain") == 0
    run = Path("runs/tiny/latest").resolve()
    assert {p.name for p in run.iterdir()} >= {
        "config.yaml",
        "manifest.json",
        "status.json",
        "metrics.csv",
        "summary.json",
        "model.keras",
        "model.txt",
    }
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last", "best"}
    assert {p.name for p in (run / ".hydra").iterdir()} == {"config.yaml", "overrides.yaml", "hydra.yaml"}
    assert list((run / "plots").glob("*.png"))
    assert list((run / "tensorboard").rglob("*tfevents*"))
    summary, manifest, status = read("summary.json"), read("manifest.json"), read("status.json")
    assert (status["status"], status["epoch"], status["step"]) == ("completed", 3, 12)
    assert (summary["task"], summary["dataset"], summary["status"], summary["epochs"], summary["steps"]) == (
        "tiny",
        "tiny numbers",
        "completed",
        3,
        12,
    )
    assert summary["monitor"] == "val_loss"
    assert set(summary["best"]) == {"value", "epoch", "test"}
    assert set(summary["train"]) == set(summary["val"]) == set(summary["test"]) == {"loss", "accuracy"}
    assert set(summary["throughput"]) == {
        "examples_per_second",
        "steps_per_second",
        "tflops",
        "roofline_fraction",
    }
    assert summary["bottleneck"]["by"] in ("device", "host", "input")
    assert set(summary["seconds"]) >= {"total", "compile", "train", "validate"}
    assert {"execution", "precision", "strategy", "replicas"} <= set(summary)
    assert manifest["dataset"] == {
        "name": "tiny numbers",
        "origin": "memory",
        "sha256": "0",
        "substitute_for": "",
    }
    assert {"git", "versions", "devices", "argv", "seed"} <= set(manifest)
    assert len(table("metrics.csv")) == 3
    out = capsys.readouterr().out
    assert "Execution:" in out
    lines = out.splitlines()
    labels = ["Run", "Best", "Test last", "Test best", "Evaluate"]
    assert [line.split(":")[0] for line in lines[-5:]] == labels
    assert str(run.relative_to(Path.cwd())) in lines[-5]


def test_a_run_of_a_shuffled_dataset_reads_it_once_and_tells_where_it_ends(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_programs, "_shared", None)  # where it is shared, rows that draw are read twice
    assert train("task._target_=mine.Shuffled", "trainer.epochs=1") == 0
    assert sys.modules["mine"].Shuffled.reads == 1
    told = [read(name) for name in ("summary.json", "status.json")]
    assert (told[0]["epochs"], told[0]["steps"], told[1]["epoch"], told[1]["step"]) == (1, 4, 1, 4)


def test_the_model_loads_with_plain_keras(train: Callable[..., int]) -> None:
    import keras

    assert train("checkpoint.monitor=val_accuracy") == 0
    assert isinstance(keras.saving.load_model("runs/tiny/latest/model.keras"), keras.Sequential)


@pytest.mark.slow
def test_a_model_that_keras_cannot_write_is_trained_and_tested_without_its_file(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(model: keras.Model, path: Path) -> None:
        raise NotImplementedError("Object Net was created by passing non-serializable argument values.")

    monkeypatch.setattr(keras.Model, "save", cannot)
    with pytest.warns(UserWarning, match="model.keras is left out, since Keras cannot write this model"):
        assert train("trainer.epochs=1") == 0
    assert not Path("runs/tiny/latest/model.keras").exists()
    assert read("summary.json")["test"]
    assert read("status.json")["status"] == "completed"


def test_the_printed_command_works(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("run_dir='a b, (c)'") == 0
    command = capsys.readouterr().out.splitlines()[-1].partition("python -m trainkit ")[2]
    monkeypatch.delitem(sys.modules, "mine")
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert main.main(words) == 0
    results = read("evaluate.json", "a b, (c)")["results"]
    assert set(results) == {"train", "validation", "test"}
    assert results["test"] == pytest.approx(read("summary.json", "a b, (c)")["best"]["test"])


@pytest.mark.slow
def test_predict_writes_every_row(trained: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main.main(["mode=predict", "resume=runs/tiny/latest", "predict.show=4", "predict.split=validation"])
        == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Predicted")]
    rows = table("predictions.csv")
    assert len(lines) == 4
    assert all("Actual" in line and "confidence" in line for line in lines)
    assert len(rows) == 16
    assert set(rows[0]) == {"row", "predicted", "actual", "confidence", "output_0"}


@pytest.mark.slow
def test_multirun_gives_each_job_its_run(train: Callable[..., int]) -> None:
    assert train("-m", "optimizer.learning_rate=1e-2,1e-3", "trainer.epochs=1") == 0
    runs = sorted(Path("runs/tiny").glob("2*"))
    assert sorted(
        yaml.safe_load((run / "config.yaml").read_text())["optimizer"]["learning_rate"] for run in runs
    ) == [1e-3, 1e-2]
    jobs = json.loads(next(Path("runs/multirun").glob("*/jobs.json")).read_text())["jobs"]
    assert [job["exit"] for job in jobs] == [0, 0]
    assert {Path(job["run"]).name for job in jobs} == {run.name for run in runs}


@pytest.mark.slow
def test_resume_of_a_multirun_runs_what_is_missing(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that failed begins anew; one that was stopped goes on from its checkpoint; the others stay."""
    assert train("-m", "trainer.epochs=2", "task.nan=false,true") == 2
    assert "best val_loss" in capsys.readouterr().out
    folder = next(Path("runs/multirun").iterdir())
    before = json.loads((folder / "jobs.json").read_text())["jobs"]
    assert [one["exit"] for one in before] == [0, 2]
    state = Path(before[0]["run"], "summary.json").read_bytes()
    assert main.main([f"resume={folder}", "task.nan=false"]) == 0
    after = json.loads((folder / "jobs.json").read_text())["jobs"]
    assert [one["exit"] for one in after] == [0, 0]
    assert after[0] == before[0]
    assert Path(before[0]["run"], "summary.json").read_bytes() == state
    assert read("status.json", after[1]["run"])["status"] == "completed"
    capsys.readouterr()
    assert main.main([f"resume={folder}"]) == 2
    assert "all 2 jobs are done; nothing is missing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_runs_each_job_as_a_process(
    train: Callable[..., int], tmp_path: Path, launcher: str
) -> None:
    """By a process of its own, as a user runs it: submitit does not go well with captured output."""
    pytest.importorskip(launcher.partition("_")[0])
    words = ["--config-dir", str(tmp_path / "my"), "task=tiny", *QUIET, "-m", f"hydra/launcher={launcher}"]
    jobs_of = ["trainer.epochs=1", "task.nan=false,true"]
    command = [sys.executable, "-m", "trainkit", *words, *jobs_of]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert "1 of 2 jobs done" in done.stdout
    folder = next(Path("runs/multirun").iterdir())
    jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
    assert [job["exit"] for job in jobs] == [0, 2]
    assert read("status.json", jobs[0]["run"])["status"] == "completed"
    assert "NaN" in (folder / "job-2.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_saves_the_state_and_says_how_to_go_on(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    assert (
        train(f"callbacks.extra=[{{_target_: mine.Kill, name: {name}, epoch: 2}}]", "trainer.epochs=50")
        == code
    )
    status = read("status.json")
    assert (status["status"], status["reason"], status["epoch"]) == ("preempted", name, 2)
    assert read("summary.json")["status"] == "preempted"
    command = capsys.readouterr().out.splitlines()[-1]
    assert command.startswith("Resume:    python -m trainkit resume=runs/tiny/2")
    assert (
        main.main(
            [
                command.split("resume=")[1].join(("resume=", "")),
                "trainer.epochs=4",
                "progress=none",
                "callbacks=none",
            ]
        )
        == 0
    )
    assert (read("status.json")["status"], read("status.json")["epoch"]) == ("completed", 4)


def test_warnings_are_shown_as_their_text_alone(
    empty_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn(config: Config, task: str | None) -> int:
        shown = warnings.formatwarning("layout\nnot applied", UserWarning, "/some/figures.py", 240)
        print(shown, end="")
        return 0

    monkeypatch.setattr("trainkit.cli.commands.report.run", warn)
    assert main.main(["mode=report"]) == 0
    assert capsys.readouterr().out == "Warning: layout not applied\n"


def test_a_failure_keeps_its_traceback_and_is_one_line(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("callbacks.extra=[{_target_: mine.Break}]") == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "failed: RuntimeError: the lamp went out (traceback in runs/tiny/2" in text
    assert "/error.txt)" in text
    assert read("status.json")["status"] == "failed"
    assert read("manifest.json")["task"] == "tiny"
    assert "mine.py" in Path("runs/tiny/latest/error.txt").read_text()


def test_a_training_that_diverged_is_not_to_be_resumed_from_where_it_ended(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """It would diverge again. The weights of the best epoch, which were validated, are another matter."""
    diverges = ("optimizer=sgd", "optimizer.learning_rate=3e38", "trainer.on_nonfinite=ignore", "run_dir=a")
    assert train(*diverges) == 1
    text = capsys.readouterr().err
    assert "weights that are not finite. Lower optimizer.learning_rate" in text
    assert text.endswith(
        "start anew, or go on from the best epoch: python -m trainkit resume=a/checkpoints/best\n"
    )
    assert train(*diverges[:-1], "checkpoint.monitor=loss", "run_dir=b") == 1  # of the steps before the end
    assert capsys.readouterr().err.endswith("With one of these, start anew.\n")
