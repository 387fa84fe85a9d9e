"""The command kills a training, resumes it, and says whether it was the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import OWN_MODULE, OWN_TASK
from trainkit.checkpoint import members
from trainkit.verification.resume import verify_resume
from trainkit.verification.run_differences import run_differences

FORGETFUL = '''

class Forgetful(keras.callbacks.Callback):
    """Trains ever more slowly, by a count that no checkpoint knows."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.count += 1
        self.model.optimizer.learning_rate = 0.1 / self.count
'''
BARE = ("callbacks.tensorboard.enabled=false", "callbacks.report=false")


def verify(folder: Path, *words: str, module: str = "") -> tuple[int, dict[str, object], str]:
    (folder / "task").mkdir(parents=True)
    (folder / "mine.py").write_text(OWN_MODULE + FORGETFUL + module)
    (folder / "task" / "tiny.yaml").write_text("# @package _global_\n" + OWN_TASK)
    command = [sys.executable, "-m", "trainkit", "--config-dir", str(folder), "mode=verify_resume", *words]
    settings = ["task=tiny", "trainer.epochs=40", "callbacks.plots=false", "run_dir=out", "verify.seed=1"]
    done = subprocess.run([*command, *settings], cwd=folder, capture_output=True, text=True, timeout=500)
    found = json.loads((folder / "out" / "verify_resume.json").read_text())
    return done.returncode, found, done.stdout + done.stderr


@pytest.mark.slow
def test_a_killed_training_is_the_same_training(tmp_path: Path) -> None:
    code, found, output = verify(tmp_path / "my", "verify.kills=4")
    assert code == 0, output
    assert found["passed"] is True
    assert len(found["kills"]) == 4
    assert "Equal:" in output


@pytest.mark.slow
def test_a_task_that_has_computed_with_tensorflow_is_killed_and_resumed(tmp_path: Path) -> None:
    """As one that decodes images does: a copy of its process would wait for threads that it does not have.
    Its rows are drawn anew in each epoch, which the resumed training goes on with."""
    computes = "import tensorflow as tf; tf.linalg.matmul(tf.ones([99, 99]), tf.ones([99, 99]))"
    words = ("verify.kills=1", "task._target_=mine.Shuffled", *BARE)
    code, found, output = verify(tmp_path / "my", *words, module=f"\n{computes}\n")
    assert code == 0, output
    assert found["passed"] is True
    assert len(found["kills"]) == 1
    assert "Equal:" in output


@pytest.mark.slow
def test_what_no_checkpoint_knows_is_found_out(tmp_path: Path) -> None:
    """Where the first difference is named."""
    extra = "callbacks.extra=[{_target_: mine.Forgetful}]"
    code, found, output = verify(tmp_path / "my", "verify.kills=2", extra, *BARE)
    assert code == 1, output
    assert found["passed"] is False
    assert "killed-" in output
    assert "Differs:" in output


def write_run(run: Path, value: float, row: str) -> None:
    weights = np.array([0.0, value], np.float32)
    content = {"position": {"epoch": 2, "step_in_epoch": 0, "step": 10}, "callbacks": {}}
    record = members.Record(content=content, variables=[("model/kernel", weights)])
    record.write(run / "checkpoints" / "last")
    (run / "metrics.csv").write_text(f"epoch,step,train/loss,learning_rate,seconds\n{row}\n")
    summary = {"best": {"value": 0.5}, "seconds": {"total": value}}
    (run / "summary.json").write_text(json.dumps(summary))


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1.0, "2,10,0.5,0.1,1")
    write_run(tmp_path / "b", 1.0000001, "2,10,0.25,0.1,2")
    assert run_differences(tmp_path / "a", tmp_path / "a") == []
    weights_differ, rows_differ = run_differences(tmp_path / "a", tmp_path / "b")
    assert weights_differ == "last: model/kernel at 1: 1.0 and 1.0000001"
    assert rows_differ == "metrics.csv: epoch 2/train/loss: '0.5' and '0.25'"


class Over:
    """An attempt that has come to its end."""

    def wait(self, seconds: float) -> int | None:
        return 0

    def kill(self, chosen: float) -> None:
        raise AssertionError


@pytest.mark.parametrize("always", [True, False])
def test_the_kills_are_not_blamed_where_trainings_without_them_differ(tmp_path: Path, always: bool) -> None:
    losses = iter((0.5, 0.25, 0.125 if always else 0.5))

    def start(run: Path, writes: int) -> Over:
        loss = next(losses)
        write_run(run, loss, f"1,5,{loss},0.1,1")
        return Over()

    report = verify_resume(start, tmp_path, kills=1, seed=0)
    assert not report.passed
    cause = [line for line in report.lines() if line.startswith("Cause:")]
    assert len(cause) == always
    assert all("differ, too: metrics.csv: epoch 1/train/loss: '0.5' and '0.125'" in line for line in cause)
