"""Several workers started by `launch` are one training: it equals one device's and loses nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.repository import ROOT
from trainkit.checkpoint.members import read_arrays, read_meta
from trainkit.cli import main
from trainkit.core.errors import UserError
from trainkit.distributed import cluster, launcher

BOSTON = (
    "task=boston",
    "data.source=embedded",
    "progress=none",
    "callbacks.tensorboard.enabled=false",
    "callbacks.plots=false",
)
LIMIT = 120.0  # seconds after which a command counts as hung


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "trainkit", *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(folder: Path, *words: str, code: int = 0) -> str:
    process = start(folder, *words)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == code, output
    return output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def values(run_dir: Path) -> dict[str, np.ndarray]:
    folder = run_dir / "checkpoints" / "last"
    named = read_arrays(folder, read_meta(folder), "variables.bin")
    tensors = {str(name): np.asarray(array) for name, array in named}
    return {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}


@pytest.mark.slow
def test_two_workers_equal_one_device_and_the_chief_alone_writes(tmp_path: Path) -> None:
    """Masks, weights per step, sums, sums of weights and embeddings, in one model of three losses."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "weighed.yaml").write_text("_target_: tests.laws.test_weighing.Together\n")
    words = ("mode=parity", "--config-dir", "conf", "task=weighed", "trainer.batch_size=16")
    output = run(tmp_path, *words, "parity.workers=2", "parity.steps=6", "run_dir=out")
    report = json.loads((tmp_path / "out" / "parity.json").read_text())["outcomes"][0]
    assert report["passed"]
    assert report["steps"] == 6
    assert 0 < report["max_difference"] <= 3e-6, output
    assert set(report["metrics"]) >= {"loss", "sum_loss", "val_by_weights_loss"}
    assert (tmp_path / "out" / "workers" / "metrics.csv").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["conf", "out"]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    begin = time.monotonic()
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begin < LIMIT
        time.sleep(0.05)


def worker_pid(process: subprocess.Popen[str], index: int) -> int:
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        config = next((json.loads(e[10:]) for e in environment if e.startswith(b"TF_CONFIG=")), None)
        if config and config["task"]["index"] == index:
            return int(pid)
    raise AssertionError(f"no worker {index}")


PAUSE = """
import json
import os
import time
from pathlib import Path

import keras


class Pause(keras.callbacks.Callback):
    \"\"\"Worker 1 waits after an epoch for as long as there is a file `pause-<epoch>`.\"\"\"

    def on_epoch_end(self, epoch, logs=None):
        file = Path(f"pause-{epoch + 1}")
        if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1 and file.exists():
            file.with_name(f"at-{epoch + 1}").touch()
            while file.exists():
                time.sleep(0.02)
"""


def launch_planted(folder: Path, run_dir: str) -> list[str]:
    """The words of a training of two workers with an infinite gradient on one of them in each epoch."""
    from trainkit.data import order

    row = int(order.order(0, 0, 75)[16 * 2 + 8 + 3])  # in the third batch, in the half of worker 1
    (folder / "conf" / "task").mkdir(parents=True)
    (folder / "conf" / "mine.py").write_text(PAUSE)
    (folder / "conf" / "task" / "planted.yaml").write_text(
        f"_target_: tests.laws.test_half_precision.Planted\nrow: {row}\n"
    )
    return [
        *("launch", "workers=2", "--config-dir", "conf", "task=planted", "trainer.precision=mixed_float16"),
        *("trainer.batch_size=16", "trainer.epochs=5", "progress=none", f"run_dir={run_dir}"),
        *("callbacks=none", "callbacks.csv=true", "callbacks.extra=[{_target_: mine.Pause}]"),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, *launch_planted(folder, "whole"))
    return folder / "whole"


def assert_same(one: Path, other: Path) -> None:
    assert rows(one / "metrics.csv") == rows(other / "metrics.csv")
    a, b = values(one), values(other)
    assert len(a) > 10
    assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_an_infinite_gradient_on_one_worker_makes_all_skip_exactly_that_step(whole: Path) -> None:
    table = rows(whole / "metrics.csv")
    assert [row["step"] for row in table] == ["5", "10", "15", "20", "25"]
    # The same row comes once an epoch.
    assert [float(row["skipped_steps"]) for row in table] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [float(row["loss_scale"]) for row in table] == [2.0**power for power in (14, 13, 12, 11, 10)]
    assert all(np.isfinite(tensor).all() for tensor in values(whole).values())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_that_die_or_hang_are_started_again_and_resuming_equals_uninterrupted(
    whole: Path, tmp_path: Path
) -> None:
    """Killed, then stopped so that it answers nobody: each time all go on from what was saved last. Killed
    once too often, it ends the others."""
    words = launch_planted(tmp_path, "part")
    restarts = ("max_restarts=2", "trainer.heartbeat_seconds=3", "checkpoint.every_steps=4")
    blows = {2: signal.SIGKILL, 3: signal.SIGSTOP, 4: signal.SIGKILL}
    for epoch in blows:
        (tmp_path / f"pause-{epoch}").touch()
    process = start(tmp_path, *words[:2], *restarts, *words[2:], "checkpoint.keep=2")
    for epoch, blow in blows.items():
        wait_for(tmp_path / f"at-{epoch}", process)
        wait_for(tmp_path / "part" / "checkpoints" / "last" / "checkpoint.json", process)
        os.kill(worker_pid(process, 1), blow)
        (tmp_path / f"pause-{epoch}").unlink()
    killed = time.monotonic()
    output, _ = process.communicate(timeout=LIMIT)
    assert time.monotonic() - killed < 60, "the bound of the contract"
    assert process.returncode == 1
    assert "restart 2 of at most 2, from part/checkpoints/" in output
    assert len(resumed(tmp_path / "part")) == 2
    assert output.count("worker 1 was killed by SIGKILL") == 2
    assert "another worker ended or no longer answers" in output
    assert json.loads((tmp_path / "part" / "status.json").read_text())["status"] == "failed"
    again = ("launch", "workers=2", "--config-dir", "conf", "progress=none", "resume=last", "run_dir=part")
    run(tmp_path, *again)
    assert_same(whole, tmp_path / "part")

    # Killed again after the last epoch: what remains is to test the best weights, which only the chief has.
    summary = json.loads((tmp_path / "part" / "summary.json").read_text())
    (tmp_path / "part" / "status.json").write_text('{"status": "running"}')
    run(tmp_path, *again)
    again_tested = json.loads((tmp_path / "part" / "summary.json").read_text())
    assert again_tested["best"] == summary["best"]
    assert again_tested["test"] == summary["test"]


def resumed(run_dir: Path) -> list[dict[str, Any]]:
    """Where a run was resumed."""
    found: list[dict[str, Any]] = json.loads((run_dir / "manifest.json").read_text()).get("resumed", [])
    return found


@pytest.mark.slow
def test_a_signal_stops_all_workers_at_the_same_step_with_the_state_saved(tmp_path: Path) -> None:
    process = start(tmp_path, "launch", "workers=2", *BOSTON, "trainer.epochs=4000", "run_dir=out")
    wait_for(tmp_path / "out" / "checkpoints" / "last", process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 143, output
    status = json.loads((tmp_path / "out" / "status.json").read_text())
    assert (status["status"], status["reason"]) == ("preempted", "SIGTERM")
    meta = json.loads((tmp_path / "out" / "checkpoints" / "last" / "checkpoint.json").read_text())
    assert meta["position"]["epoch"] == status["epoch"] < 4000
    assert "python -m trainkit launch workers=2 resume=out" in output


def test_what_is_wrong_is_said_once_before_any_worker_starts(tmp_path: Path) -> None:
    output = run(tmp_path, "launch", "workers=2", "task=boston", "trainer.epoch=3", code=2)
    assert output.count("\n") == 1
    assert "did you mean trainer.epochs?" in output
    assert list(tmp_path.iterdir()) == []


def test_of_workers_that_end_together_the_killed_one_is_named() -> None:
    """Worker 0 fails because worker 1 was killed, and both may have ended before the launcher looks."""
    processes = [subprocess.Popen(["sh", "-c", script], text=True) for script in ("exit 1", "kill -9 $$")]
    for process in processes:
        process.wait()
    out = io.StringIO()
    assert launcher._wait(processes, out, 1.0) == 1
    assert out.getvalue() == "trainkit: worker 1 was killed by SIGKILL; the others end too.\n"


def test_a_worker_that_ends_with_a_code_of_its_own_has_failed() -> None:
    process = subprocess.Popen(["sh", "-c", "exit 9"], text=True)
    process.wait()
    out = io.StringIO()
    assert launcher._wait([process], out, 1.0) == 1
    assert out.getvalue() == "trainkit: worker 0 ended with exit code 9; the others end too.\n"


def test_a_worker_that_is_left_alone_before_the_training_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(cluster, "workers", lambda: 2)
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: ...")
    assert main._failed(error) == 1
    assert capsys.readouterr().err.startswith("trainkit: another worker ended or no longer answers (Un")


@pytest.mark.parametrize(
    "words", [["task=boston"], ["workers=0"], ["workers=two"], ["workers=1", "workers=2"]]
)
def test_launch_needs_one_number_of_workers(words: list[str]) -> None:
    with pytest.raises(UserError, match="expected workers=N"):
        launcher.workers_of(words)


def test_the_chief_is_the_first_worker_or_the_one_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def leads(cluster_of: dict[str, list[str]], kind: str, index: int) -> bool:
        monkeypatch.setenv(
            "TF_CONFIG", json.dumps({"cluster": cluster_of, "task": {"type": kind, "index": index}})
        )
        assert cluster.is_follower("auto") is not cluster.is_chief()
        assert not cluster.is_follower("one_device")
        return cluster.is_chief()

    two: dict[str, Any] = {"worker": ["a:1", "b:1"]}
    assert [leads(two, "worker", i) for i in (0, 1)] == [True, False]
    assert [
        leads({"chief": ["c:1"], **two}, kind, i) for kind, i in (("chief", 0), ("worker", 0), ("worker", 1))
    ] == [True, False, False]
    with pytest.raises(UserError, match=r"=mirrored: TF_CONFIG names 3 workers, each of which"):
        cluster.refuse_alone("mirrored")
    cluster.refuse_alone("auto")
    for other in ("{", json.dumps({"cluster": {"master": ["a:1"]}})):  # no cluster of ours
        monkeypatch.setenv("TF_CONFIG", other)
        cluster.refuse_alone("one_device")
    monkeypatch.delenv("TF_CONFIG")
    cluster.refuse_alone("mirrored")
    assert cluster.is_chief()
    assert cluster.workers() == 1


def test_slurm_names_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in {
        "SLURM_PROCID": "1",
        "SLURM_STEP_NODELIST": "node[1-4]",
        "SLURM_STEP_NUM_TASKS": "4",
    }.items():
        monkeypatch.setenv(name, value)
    assert cluster.workers() == 4
    assert not cluster.is_chief()
    assert cluster.is_follower("auto")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert cluster.is_chief()
