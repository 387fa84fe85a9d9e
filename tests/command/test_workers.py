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
    output = run(
        tmp_path,
        "mode=parity",
        "task=boston",
        "data.source=embedded",
        "optimizer=momentum",
        "parity.workers=2",
        "run_dir=out",
        "parity.steps=20",
    )
    report = json.loads((tmp_path / "out" / "parity.json").read_text())["outcomes"][0]
    assert report["passed"]
    assert report["steps"] == 20
    assert 0 < report["max_difference"] <= 1e-6, output
    assert (tmp_path / "out" / "workers" / "metrics.csv").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_two_workers_weigh_as_one_device(tmp_path: Path) -> None:
    """Masks, weights per step, sums, sums of weights and embeddings, in one model of three losses."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "weighed.yaml").write_text("_target_: tests.laws.test_weighing.Together\n")
    words = ("mode=parity", "--config-dir", "conf", "task=weighed", "trainer.batch_size=16")
    run(tmp_path, *words, "parity.workers=2", "parity.steps=6", "run_dir=out")
    report = json.loads((tmp_path / "out" / "parity.json").read_text())["outcomes"][0]
    assert report["passed"]
    assert set(report["metrics"]) >= {"loss", "sum_loss", "val_by_weights_loss"}


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, "launch", "workers=2", *BOSTON, "trainer.epochs=40", "run_dir=whole")
    return folder / "whole"


def assert_same(one: Path, other: Path) -> None:
    assert rows(one / "metrics.csv") == rows(other / "metrics.csv")
    a, b = values(one), values(other)
    assert len(a) > 10
    assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_others_and_resuming_equals_uninterrupted(
    whole: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, "launch", "workers=2", *BOSTON, "trainer.epochs=40", "run_dir=part")
    wait_for(tmp_path / "part" / "checkpoints" / "last", process)
    os.kill(worker_pid(process, 1), signal.SIGKILL)
    killed = time.monotonic()
    output, _ = process.communicate(timeout=LIMIT)
    assert time.monotonic() - killed < 60, "the bound of the contract"
    assert process.returncode == 1
    assert "worker 1 was killed by SIGKILL" in output
    assert "another worker ended or no longer answers" in output
    assert json.loads((tmp_path / "part" / "status.json").read_text())["status"] == "failed"
    run(tmp_path, "launch", "workers=2", *BOSTON, "resume=last", "run_dir=part")
    assert_same(whole, tmp_path / "part")

    # Killed again after the last epoch: what remains is to test the best weights, which only the chief has.
    summary = json.loads((tmp_path / "part" / "summary.json").read_text())
    (tmp_path / "part" / "status.json").write_text('{"status": "running"}')
    run(tmp_path, "launch", "workers=2", *BOSTON, "resume=last", "run_dir=part")
    again = json.loads((tmp_path / "part" / "summary.json").read_text())
    assert again["best"] == summary["best"]
    assert again["test"] == summary["test"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_that_die_or_hang_are_started_again_from_the_last_save(whole: Path, tmp_path: Path) -> None:
    """Killed, then stopped so that it answers nobody: each time all go on from what was saved last."""
    restarts = (
        "max_restarts=2",
        "trainer.heartbeat_seconds=3",
        "checkpoint.every_steps=4",
        "checkpoint.keep=2",
    )
    process = start(tmp_path, "launch", "workers=2", *restarts, *BOSTON, "trainer.epochs=40", "run_dir=part")
    last = tmp_path / "part" / "checkpoints" / "last"
    for number, blow in enumerate((signal.SIGKILL, signal.SIGSTOP)):
        wait_for_restarts(tmp_path / "part", number, process)
        from_here = position(last)["step"]
        while position(last)["step"] <= from_here:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        os.kill(worker_pid(process, 1), blow)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    assert "restart 2 of at most 2, from part/checkpoints/" in output
    assert_same(whole, tmp_path / "part")
    assert len(resumed(tmp_path / "part")) == 2


def resumed(run_dir: Path) -> list[dict[str, Any]]:
    """Where a run was resumed."""
    found: list[dict[str, Any]] = json.loads((run_dir / "manifest.json").read_text()).get("resumed", [])
    return found


def wait_for_restarts(run_dir: Path, number: int, process: subprocess.Popen[str]) -> None:
    wait_for(run_dir / "checkpoints" / "last" / "checkpoint.json", process)
    begin = time.monotonic()
    while len(resumed(run_dir)) < number:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begin < LIMIT
        time.sleep(0.05)


def position(folder: Path) -> dict[str, int]:
    return dict(read_meta(folder)["position"])


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


@pytest.mark.slow
def test_an_infinite_gradient_on_one_worker_makes_all_skip_exactly_that_step(tmp_path: Path) -> None:
    from trainkit.data import order

    row = int(order.order(0, 0, 75)[16 * 2 + 8 + 3])  # in the third batch, in the half of worker 1
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "planted.yaml").write_text(
        f"_target_: tests.laws.test_half_precision.Planted\nrow: {row}\n"
    )
    words = (
        "trainer.precision=mixed_float16",
        "trainer.batch_size=16",
        "trainer.epochs=2",
        "run_dir=out",
        "callbacks=none",
        "callbacks.csv=true",
    )
    run(tmp_path, "launch", "workers=2", "--config-dir", "conf", "task=planted", "progress=none", *words)
    table = rows(tmp_path / "out" / "metrics.csv")
    assert [row["step"] for row in table] == ["5", "10"]
    assert [float(row["skipped_steps"]) for row in table] == [1.0, 2.0]  # the same row comes once an epoch
    assert [float(row["loss_scale"]) for row in table] == [2.0**14, 2.0**13]
    assert all(np.isfinite(tensor).all() for tensor in values(tmp_path / "out").values())


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
    monkeypatch.delenv("TF_CONFIG")
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
