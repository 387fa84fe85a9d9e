"""A run tells that it lives, one process at a time writes it, and damaged files of it are made anew."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.runs import metrics_csv
from trainkit.runs.heartbeat import Heartbeat
from trainkit.runs.lock import locked
from trainkit.runs.run_dir import RunDir


def test_the_status_is_written_while_the_main_thread_is_busy(tmp_path: Path) -> None:
    position = {"epoch": 0, "step": 0}
    asked = threading.Semaphore(0)

    def stands() -> dict[str, int]:
        asked.release()
        return position

    run = RunDir(tmp_path)
    with Heartbeat(run, stands, every=0.01) as status:
        assert files.read_json(run.status)["status"] == "running"
        position = {"epoch": 3, "step": 15}
        for _ in range(3):
            assert asked.acquire(timeout=20)
        status.end("preempted", "SIGTERM")
    after = files.read_json(run.status)
    assert [after[key] for key in ("status", "reason", "epoch", "step")] == ["preempted", "SIGTERM", 3, 15]


def test_a_status_that_cannot_be_written_is_warned_of_once(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "file" / "run")
    (tmp_path / "file").touch()
    beats = threading.Semaphore(0)

    def stands() -> dict[str, int]:
        beats.release()
        return {"epoch": 0, "step": 0}

    with pytest.warns(UserWarning, match="The training goes on") as warned, Heartbeat(run, stands, 0.001):
        assert all(beats.acquire(timeout=20) for _ in range(4))
    assert len(warned) == 1


def test_a_second_process_is_refused_by_name_and_a_dead_one_is_not_waited_for(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from trainkit.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"is being written by process {other.pid} on "), locked(tmp_path):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            pass


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe{}", b"[" * 100_000])
def test_a_damaged_json_file_is_set_aside(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"kept as manifest\.json\.damaged"):
        assert files.read_or_set_aside(path) == {}
    assert not path.exists()
    assert (tmp_path / "manifest.json.damaged").read_bytes() == content


ROWS = "epoch,step,train/loss,learning_rate,seconds\n1,5,0.5,0.1,1.0\n2,10,0.25,0.1,1.0\n3,15,0.125,0.1,1.0\n"
COLUMNS = metrics_csv.columns(["loss"])


@pytest.mark.parametrize("damage", ["2,10,0.2x5,0.1,1.0", "2,10", "\x00\x01,,,,", "x,10,0.25,0.1,1.0"])
def test_whole_rows_of_a_damaged_table_are_kept(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(ROWS.replace("2,10,0.25,0.1,1.0", damage))
    with pytest.warns(UserWarning, match=r"kept as metrics\.csv\.damaged"):
        table = metrics_csv.MetricsTable(path, COLUMNS, keep_until=3)
    table.append({"epoch": 4, "step": 20, "train/loss": 0.0625})
    table.close()
    assert [row["epoch"] for row in metrics_csv.read_rows(path)] == ["1", "3", "4"]


def test_rows_that_could_not_be_written_come_with_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.csv"
    table = metrics_csv.MetricsTable(path, COLUMNS)
    write = metrics_csv.os.write

    def half(descriptor: int, line: bytes) -> int:
        return write(descriptor, line[: len(line) // 2])

    table.append({"epoch": 1, "step": 5, "train/loss": 0.5})
    monkeypatch.setattr(metrics_csv.os, "write", half)
    with pytest.warns(UserWarning, match="The training goes on"):
        table.append({"epoch": 2, "step": 10, "train/loss": 0.25})
    monkeypatch.undo()
    table.append({"epoch": 3, "step": 15, "train/loss": 0.125})
    table.close()
    assert [row["epoch"] for row in metrics_csv.read_rows(path)] == ["1", "2", "3"]
