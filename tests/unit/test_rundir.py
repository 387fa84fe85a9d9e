"""Run directories: made once, found again, and never half written."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.runs import locate, run_dir
from trainkit.runs.lock import LOCK, locked


def make_run(folder: Path, *checkpoints: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("{}")
    (folder / "status.json").write_text("{}")
    for name in checkpoints:
        (folder / "checkpoints" / name).mkdir(parents=True)
        (folder / "checkpoints" / name / "checkpoint.json").write_text("{}")
    return folder


def test_runs_of_the_same_second_do_not_collide(tmp_path: Path) -> None:
    paths = {run_dir.new_path(str(tmp_path / "runs"), "t", None) for _ in range(200)}
    assert len(paths) == 200


def test_planning_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    run_dir.new_path(str(tmp_path / "runs"), "t", None)
    run_dir.new_path("runs", "t", str(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    path = run_dir.create(tmp_path / "runs" / "t" / "1", str(tmp_path / "runs"), "t").path
    (path / "x").touch()
    with pytest.raises(UserError, match="Cannot make the run directory"):
        run_dir.create(path, str(tmp_path / "runs"), "t")


def test_a_run_that_was_killed_while_it_wrote_its_first_file_begins_again(tmp_path: Path) -> None:
    path = run_dir.create(tmp_path / "run", "", "").path
    with locked(path):
        (path / ".0123abcd-config.yaml").write_text("task")
        with pytest.raises(UserError, match="is being written by process"):
            run_dir.new_path("runs", "t", str(path))
    assert run_dir.new_path("runs", "t", str(path)) == path
    assert run_dir.create(path, "", "").path == path
    (path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something"):
        run_dir.new_path("runs", "t", str(path))


def test_latest_links_to_the_newest_run(tmp_path: Path) -> None:
    for name in ("1", "2"):
        run_dir.create(tmp_path / "t" / name, str(tmp_path), "t")
    latest = tmp_path / "t" / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == (tmp_path / "t" / "2").resolve()
    assert sorted(p.name for p in latest.parent.iterdir()) == ["1", "2", "latest"]


def test_a_run_elsewhere_makes_no_link(tmp_path: Path) -> None:
    run_dir.create(tmp_path / "mine", str(tmp_path / "runs"), "t")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("place", ["file/run", "full"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    with pytest.raises(UserError, match="run_dir"):
        run_dir.new_path("runs", "t", str(tmp_path / place))


def test_a_failed_write_keeps_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        files.write_text(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_what_is_no_file_is_left_as_it_is_and_named(tmp_path: Path) -> None:
    (tmp_path / "loss.png" / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=r"Cannot write .*loss\.png: Is a directory"):
        files.write_text(tmp_path / "loss.png", "a picture")
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(UserError, match="no plain file"), locked(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == [LOCK, "loss.png", "mine"]


def test_json_is_strict(tmp_path: Path) -> None:
    path = files.write_json(
        tmp_path / "a.json",
        {"nan": float("nan"), "inf": [float("inf")], "path": tmp_path, "n": {"x": 1, "y": True}},
    )
    assert json.loads(path.read_text()) == {
        "nan": None,
        "inf": [None],
        "path": str(tmp_path),
        "n": {"x": 1, "y": True},
    }


def test_resume_means_run_dir_or_the_newest_run(tmp_path: Path) -> None:
    first = make_run(tmp_path / "t" / "1", "last")
    second = make_run(tmp_path / "t" / "2", "last", "best")

    def found(resume: str | None, run_dir: Path | None = None, prefer: tuple[str, ...] = ("last",)) -> Path:
        return locate.locate(
            resume, runs_dir=str(tmp_path), name="t", run_dir=run_dir and str(run_dir), prefer=prefer
        ).checkpoint

    assert found("last") == second / "checkpoints" / "last"
    assert found("best") == second / "checkpoints" / "best"
    assert found("last", first) == first / "checkpoints" / "last"
    with pytest.warns(UserWarning, match=r"has no checkpoint best; last is opened\.$"):
        assert found(None, first, ("best", "last")) == first / "checkpoints" / "last"
    assert found(str(second), prefer=("best", "last")) == second / "checkpoints" / "best"
    assert found(str(second / "checkpoints" / "last")) == second / "checkpoints" / "last"
    (tmp_path / "t" / "latest").symlink_to("1")
    assert found("last") == first / "checkpoints" / "last"


def test_without_a_task_the_newest_run_of_all_is_meant(tmp_path: Path) -> None:
    for name in ("b/20260101-000000-0", "a/20260102-000000-0", "c/20260101-235959-9"):
        make_run(tmp_path / name, "last")
    comparison = make_run(tmp_path / "parity" / "20260103-000000-0")
    (comparison / "status.json").unlink()
    assert locate.newest(str(tmp_path), None) == tmp_path / "a" / "20260102-000000-0"
    assert locate.newest(str(tmp_path), "c") == tmp_path / "c" / "20260101-235959-9"


def test_status_tells_where_a_run_stands(tmp_path: Path) -> None:
    run = run_dir.RunDir(tmp_path)
    run.write_status("failed", 3, 15, reason="the lamp went out")
    status = files.read_json(run.status)
    assert status.pop("heartbeat").startswith("20")
    assert status == {
        "status": "failed",
        "reason": "the lamp went out",
        "epoch": 3,
        "step": 15,
        "pid": os.getpid(),
        "host": platform.node(),
    }


def test_a_checkpoint_knows_its_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "1", "last")
    inside = locate.locate(
        str(run / "checkpoints" / "last"), runs_dir="runs", name="t", run_dir=None, prefer=()
    )
    (run / "config.yaml").unlink()
    alone = locate.locate(
        str(run / "checkpoints" / "last"), runs_dir="runs", name="t", run_dir=None, prefer=()
    )
    assert inside.run == run_dir.RunDir(run)
    assert alone.run is None


@pytest.mark.parametrize(
    ("resume", "message"),
    [("nowhere", "no folder"), ("", "no run"), ("empty", "no checkpoint last"), ("last", "no run in")],
)
def test_what_is_no_run_is_refused(tmp_path: Path, resume: str, message: str) -> None:
    make_run(tmp_path / "empty")
    with pytest.raises(UserError, match=message):
        locate.locate(
            resume if resume == "last" else str(tmp_path / resume),
            runs_dir=str(tmp_path),
            name="t",
            run_dir=None,
            prefer=("last",),
        )


def test_a_run_that_has_saved_nothing_names_the_process_that_trains_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")

    def resume() -> None:
        locate.locate(str(run), runs_dir="runs", name=None, run_dir=None, prefer=("last",))

    with locked(run), pytest.raises(UserError, match=rf"by process {os.getpid()} on .* Wait until it has"):
        resume()
    with pytest.raises(UserError, match="start it anew"):
        resume()


def test_a_search_is_no_run_and_tells_how_its_best_settings_train(tmp_path: Path) -> None:
    search = make_run(tmp_path / "search")
    (search / "search.json").write_text("{}")
    make_run(search / "trials" / "0000")

    def resume() -> None:
        locate.locate(str(search), runs_dir="runs", name=None, run_dir=None, prefer=("best", "last"))

    with pytest.raises(UserError, match=r"no trial is complete; continue it by its command with run_dir="):
        resume()
    files.write_text(search / "experiment" / "best.yaml", "{}")
    with pytest.raises(UserError, match=r"experiment=best`, or name one of its 1 trials, .*/trials/0000\."):
        resume()


def test_a_resumed_run_is_one_entry_of_tensorboard(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, words in (("a", ["trainer.epochs=2"]), ("b", []), ("a", ["trainer.steps=null"])):
        run_dir.link_tensorboard(run_dir.RunDir(runs / "t" / name), str(runs), "t", words)
    links = {path.name: os.readlink(path) for path in (runs / "tensorboard").iterdir()}
    assert links == {"t a trainer.epochs=2": "../t/a/tensorboard", "t b": "../t/b/tensorboard"}
