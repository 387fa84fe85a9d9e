"""The command: what it makes of right and wrong words. In one process, as TensorFlow takes seconds to import."""

from __future__ import annotations

import csv
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from trainkit.cli import compose, main
from trainkit.cli.commands import modes
from trainkit.config import Config
from trainkit.config.root import MODES

QUIET = ("callbacks=none", "progress=none")
MINE = '''
import os
import signal
from dataclasses import dataclass

import keras
import numpy as np

from trainkit import Arrays, Source, Splits, Task


@dataclass(frozen=True)
class Tiny(Task):
    """Which of two numbers is larger: [B, 2] -> probability [B, 1]."""

    rows: int = 64
    width: int = 1
    nan: bool = False

    def data(self):
        x = np.random.default_rng(0).normal(size=(self.rows, 2)).astype("float32")
        y = (x[:, :1] > x[:, 1:]).astype("float32")
        if self.nan:
            x[3, 0] = np.nan
        part = lambda i: Arrays(x[i::4], y[i::4])
        return Splits(Arrays(x[::2], y[::2]), part(1), part(3), Source("tiny numbers", sha256="0"))

    def model(self, train):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(self.width, activation="sigmoid")])

    def loss(self):
        return keras.losses.BinaryCrossentropy()

    def metrics(self):
        return [keras.metrics.BinaryAccuracy(name="accuracy")]


class Unfinished(Task):
    pass


class Kill(keras.callbacks.Callback):
    def __init__(self, name, epoch):
        super().__init__()
        self.name, self.epoch = name, epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            os.kill(os.getpid(), getattr(signal, self.name))


class Break(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("the lamp went out")
'''
TASK = "task: {_target_: mine.Tiny, rows: 64, width: 1, nan: false}\ntrainer: {epochs: 3, batch_size: 8}\n"


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command in an empty folder with a user's own task: `train("trainer.epochs=2")`."""
    (tmp_path / "my" / "task").mkdir(parents=True)
    (tmp_path / "my" / "mine.py").write_text(MINE)
    (tmp_path / "my" / "task" / "tiny.yaml").write_text("# @package _global_\n" + TASK)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return lambda *words: main.main(["--config-dir", str(tmp_path / "my"), "task=tiny", *QUIET, *words])


def read(name: str, run: str = "runs/tiny/latest") -> Any:
    return json.loads(Path(run, name).read_text())


def table(name: str, run: str = "runs/tiny/latest") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(run, name).read_text().splitlines()))


def settings(*words: str) -> Config:
    composed = compose.compose(compose.arguments(list(words)))
    assert len(composed) == 1
    return main._checked(composed[0].settings)


# Wrong words.


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trainer.epoch=3"], "trainer.epochs"),
        (["epochs=3"], "trainer.epochs"),
        (["+trainer.epoch=3"], "trainer.epochs"),
        (["task.row=3"], "task.rows"),
        (["callback=none"], "callbacks"),
        (["task=minst"], "did you mean mnist?"),
        (["optimizer=adm"], "did you mean adam?"),
        (["optimizer.name=adm"], "did you mean adam?"),
        (["callbacks=early_stoping"], "early_stopping"),
        (["checkpoint.monitor=val_acuracy"], "val_accuracy"),
        (["callbacks.early_stopping.enabled=true", "callbacks.early_stopping.monitor=val_los"], "val_loss"),
        (["mode=evaluat"], "evaluate"),
        (["mode=report"], "Known: fit, evaluate, predict, parity."),
        (["trainer.epochs=-1"], "at least 1"),
        (["trainer.epochs=many"], "a whole number"),
        (["trainer.epochs=1.5"], "a whole number"),
        (["trainer.epochs=null"], "not null"),
        (["trainer.epochs"], "key=value"),
        (["trainer=3"], "trainer has epochs"),
        (["trainer.deterministic=perhaps"], "true or false"),
        (["trainer.batch_size=0"], "at least 1"),
        (["trainer.batch_size=1000"], "larger than the data"),
        (["trainer.precision=float7"], "float32"),
        (["trainer.epochs=1,2"], "add -m"),
        (["optimizer.learning_rate=0"], "greater than 0"),
        (["optimizer.learning_rate=nan"], "greater than 0"),
        (["optimizer=sgd", "optimizer.options.momentun=0.9"], "momentun"),
        (["data.validation=1"], "less than 1"),
        (["checkpoint.pattern=all"], "{epoch}"),
        (["name=a/b"], "folder's name"),
        (["run_dir=../my/mine.py/run"], "Not a directory"),
        (["run_dir=../my"], "already holds something"),
        (["--epochs=3"], "written without dashes"),
        (["--config-name", "nothing"], "nothing"),
        (["task._target_=nowhere.Task"], "No module named 'nowhere'"),
        (["task._target_=mine.Nothing"], "Nothing"),
        (["task._target_=mine.Unfinished"], "Unfinished"),
        (["task._target_=collections.OrderedDict"], "derived from trainkit.Task"),
        (["+task.height=3"], "height"),
        (["task.nan=true"], "NaN"),
        (["task.width=3"], "does not fit its labels"),
        (["callbacks.extra=[{_target_: collections.OrderedDict}]"], "a Keras callback"),
        (["callbacks.extra=[3]"], "_target_"),
        (["mode=evaluate"], "no run"),
        (["mode=evaluate", "resume=.."], "is no run"),
        (["mode=predict", "resume=nowhere"], "is no folder"),
        (["resume=last"], "no run"),
        (["-m", "trainer.epochs=1,-1"], "at least 1"),
        (["-m", "trainer.epochs=1,many"], "a whole number"),
        (["-m", "run_dir=a", "trainer.epochs=1,2"], "leave it out"),
        (["hydra/launcher=joblib"], "expected hydra/launcher=basic"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_and_leaves_nothing(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert train(*words) == 2
    text = capsys.readouterr().err
    assert expected in text
    assert text.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("kind", ["truncated", "wrong shape"])
def test_a_broken_file_is_one_line_and_leaves_nothing(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "mnist.npz"
    images, labels = np.zeros((9, 7, 7), np.uint8), np.zeros(9, np.uint8)
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:200])
    assert main.main(["task=mnist", f"data.dir={tmp_path}", "data.source=mnist", *QUIET]) == 2
    text = capsys.readouterr().err
    assert "mnist.npz" in text
    assert text.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


# Looking, without TensorFlow.


def test_looking_does_not_import_tensorflow() -> None:
    script = """
import os, sys
import trainkit
from trainkit import Arrays, Source, Splits, Task, UserError
from trainkit.cli.main import main
os.environ["COMP_LINE"] = "trainkit trainer.ep"
for words in (["--help"], ["--cfg", "job"], ["--info", "defaults"], ["-sc", "query=bash"], ["--version"]):
    print("==", *words)
    assert main(words) == 0
for words in (["trainer.epoch=1"], ["task=minst"], ["mode=evaluate", "runs_dir=nowhere"], ["trainer.epochs=-1"]):
    assert main(words) == 2
print([name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras", "sklearn", "matplotlib", "rich")])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(compose.CONF.parent)},
    )
    assert done.stdout.endswith("[]\n")
    assert "mode=evaluate" in done.stdout
    assert "trainer.epochs" in done.stdout.partition("== -sc")[2]


def test_every_group_option_is_valid() -> None:
    for group in ("task", "callbacks", "experiment", "debug"):
        for file in (compose.CONF / group).glob("*.yaml"):
            settings(f"{group}={file.stem}")


def test_optimizer_options_are_those_of_keras() -> None:
    from trainkit.optim import factory

    files = {
        file.stem: yaml.safe_load(file.read_text()) for file in (compose.CONF / "optimizer").glob("*.yaml")
    }
    assert set(files) == {"recipe", *factory.NAMES}
    for name, cls in factory.NAMES.items():
        defaults = {key: p.default for key, p in inspect.signature(cls).parameters.items()}
        shown = {**defaults, **factory.PRESETS.get(name, {})}
        assert files[name]["name"] == name
        assert all(shown[key] == value for key, value in files[name]["options"].items())
        assert files[name].get("weight_decay") == defaults["weight_decay"]


def test_recipe_then_group_then_experiment_then_command_line() -> None:
    assert settings().trainer.epochs == 20
    assert settings("task=boston").trainer.batch_size == 32
    assert settings("debug=smoke").trainer.epochs == 1
    assert settings("debug=smoke", "trainer.epochs=7").trainer.epochs == 7
    assert settings("experiment=boston_ema").name == "boston"
    assert settings("optimizer=momentum", "optimizer.options.momentum=0.5").optimizer.options == {
        "momentum": 0.5,
        "nesterov": False,
    }
    assert settings("optimizer=adam", "optimizer.options.beta_1=0.5").optimizer.name == "adam"


def test_data_dir_comes_from_the_environment_and_reaches_the_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAINKIT_DATA", str(tmp_path))
    assert settings().task["dir"] == settings().data.dir == str(tmp_path)
    assert settings("data.dir=/elsewhere").task["dir"] == "/elsewhere"


def test_flags_and_settings_come_in_any_order() -> None:
    parsed = compose.arguments(["task=boston", "-m", "trainer.epochs=1,2", "--config-name", "main", "seed=3"])
    assert (parsed.overrides, parsed.multirun, parsed.config_name) == (
        ["task=boston", "trainer.epochs=1,2", "seed=3"],
        True,
        "main",
    )


# Runs.


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
        "ceiling_share",
    }
    assert summary["bound"]["by"] in ("device", "host", "input")
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


def test_the_model_loads_with_plain_keras(train: Callable[..., int]) -> None:
    import keras

    assert train("checkpoint.monitor=val_accuracy") == 0
    assert isinstance(keras.saving.load_model("runs/tiny/latest/model.keras"), keras.Sequential)


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


def test_predict_writes_every_row(train: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert train() == 0
    capsys.readouterr()
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


def test_a_resumed_run_equals_an_uninterrupted_one(train: Callable[..., int]) -> None:
    assert train("trainer.epochs=5", "run_dir=whole") == 0
    assert train("trainer.epochs=2", "run_dir=parts") == 0
    assert main.main(["resume=parts", "trainer.epochs=5", "progress=none"]) == 0
    whole, parts = read("summary.json", "whole"), read("summary.json", "parts")
    for key in ("epochs", "steps", "best", "train", "val", "test"):
        assert whole[key] == parts[key]
    assert read("manifest.json", "parts")["resumed"][0]["epoch"] == 2


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


def test_a_complete_run_is_left_alone(train: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert train() == 0
    before = read("summary.json")
    assert train("resume=last") == 0
    assert "is complete" in capsys.readouterr().out
    assert read("summary.json") == before
    assert len(list(Path("runs/tiny").glob("2*"))) == 1


def test_a_resumed_run_keeps_its_settings_but_for_those_named(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("trainer.batch_size=4", "optimizer=sgd", "optimizer.learning_rate=0.1") == 0
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


def test_a_changed_learning_rate_takes_effect_on_resuming(train: Callable[..., int]) -> None:
    assert train("optimizer=sgd", "optimizer.learning_rate=0.1", "callbacks.csv=true") == 0
    assert (
        main.main(
            ["resume=runs/tiny/latest", "trainer.epochs=4", "optimizer.learning_rate=0.5", "progress=none"]
        )
        == 0
    )
    assert [float(row["learning_rate"]) for row in table("metrics.csv")] == pytest.approx(
        [0.1, 0.1, 0.1, 0.5]
    )


def test_another_task_cannot_resume_a_run(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    assert main.main(["resume=runs/tiny/latest", "task=boston"]) == 2
    assert "is a run of task tiny" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_wrong_use_and_leaves_the_run_alone(
    train: Callable[..., int],
) -> None:
    assert train("optimizer=sgd") == 0
    assert train("resume=last", "trainer.epochs=9", "optimizer=adam") == 2
    assert read("status.json")["status"] == "completed"


def test_a_run_is_repeated_from_its_own_config(train: Callable[..., int]) -> None:
    assert train("trainer.seed=3", "run_dir=first") == 0
    assert main.main(["--config-dir", "first", "--config-name", "config"]) == 0
    assert read("summary.json")["test"] == read("summary.json", "first")["test"]
    assert Path("runs/tiny/latest/config.yaml").read_text() == Path("first/config.yaml").read_text()
    assert "${" not in Path("first/config.yaml").read_text()


def test_multirun_gives_each_job_its_run(train: Callable[..., int]) -> None:
    assert train("-m", "optimizer.learning_rate=1e-2,1e-3", "trainer.epochs=1") == 0
    runs = sorted(Path("runs/tiny").glob("2*"))
    assert sorted(
        yaml.safe_load((run / "config.yaml").read_text())["optimizer"]["learning_rate"] for run in runs
    ) == [1e-3, 1e-2]
    jobs = json.loads(next(Path("runs/multirun").glob("*/jobs.json")).read_text())["jobs"]
    assert [job["exit"] for job in jobs] == [0, 0]
    assert {Path(job["run"]).name for job in jobs} == {run.name for run in runs}


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


def test_a_failure_keeps_its_traceback_and_is_one_line(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("callbacks.extra=[{_target_: mine.Break}]") == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "failed: RuntimeError: the lamp went out (traceback in runs/tiny/2" in text
    assert text.endswith("/error.txt).\n")
    assert read("status.json")["status"] == "failed"
    assert "mine.py" in Path("runs/tiny/latest/error.txt").read_text()


def test_every_mode_of_the_schema_has_a_command() -> None:
    assert tuple(modes.MODES) == MODES
