"""A run directory that is moved or removed while its run trains is not made anew at its old path."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import QUIET, read
from trainkit.callbacks.run_status import RunStatus
from trainkit.cli import main

MOVED = "old is no longer there: it is now new"
RESUME = "Resume: python -m trainkit resume=new"


def moving(new: str | None = "new", **more: object) -> str:
    words = {"old": "old", "new": new or "null", **more}
    return f"callbacks.extra=[{{_target_: tests.support.moving.Move, {_listed(words)}}}]"


def _listed(words: dict[str, object]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in words.items())


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_is_moved_ends_in_one_line_and_goes_on_from_its_new_place(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(moving(), "run_dir=old", "trainer.epochs=4") == 1
    said = last_line(capsys)
    assert said.startswith(f"trainkit: the training in old failed: {MOVED}. It holds ")
    assert re.search(r"[12] checkpoints? of before", said)
    assert said.endswith(RESUME)
    assert not Path("old").exists()
    assert main.main(["resume=new", "callbacks.extra=[]", *QUIET]) == 0
    assert read("status.json", "new")["status"] == "completed"
    assert not Path("old").exists()


def test_a_run_that_is_removed_says_that_nothing_is_left(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(moving(None), "run_dir=old", "trainer.epochs=4") == 1
    said = last_line(capsys)
    assert "old is no longer there: it was removed, or moved to another disk. Nothing is left" in said
    assert not Path("old").exists()


def test_a_moved_run_without_a_checkpoint_says_so_before_its_last_epoch(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunStatus, "_write_if_due", lambda self: self.write())
    words = (
        "checkpoint.enabled=false",
        "callbacks.csv=true",
        "callbacks.report=true",
        "run_dir=old",
        "trainer.epochs=4",
    )
    assert train(moving(awaits="report.html"), *words) == 1
    said = last_line(capsys)
    assert f"{MOVED}. No checkpoint was saved: there is nothing to go on from" in said
    assert len(Path("new/metrics.csv").read_text().splitlines()) < 5
    assert not Path("old").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_a_moved_run_keeps_its_exit_code_and_names_the_new_place(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    assert train(moving(then=int(number)), "run_dir=old", "trainer.epochs=50") == code
    said = last_line(capsys)
    assert said.startswith(f"trainkit: ended by {number.name}. {MOVED}.")
    assert said.endswith(RESUME)
    assert not Path("old").exists()


def test_an_error_in_a_moved_run_is_told_with_the_new_place(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(moving(fails="true"), "run_dir=old") == 1
    said = last_line(capsys)
    assert f"failed: RuntimeError: the lamp went out. {MOVED}." in said
    assert said.endswith(RESUME)
    assert not Path("old").exists()


def test_a_moved_folder_of_several_runs_begins_no_other_and_goes_on_from_its_new_place(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    awaits = "seed-0/checkpoints/last/checkpoint.json"
    assert train(moving(awaits=awaits), "run_dir=old", "fit.seeds=2") == 1
    run, whole = capsys.readouterr().err.splitlines()[-2:]
    assert "old/seed-0 is no longer there: it is now new/seed-0" in run
    assert whole.startswith(f"trainkit: {MOVED}.")
    assert whole.endswith(RESUME)
    assert not Path("old").exists()
    assert not Path("new/seed-1").exists()
    assert main.main(["resume=new", "callbacks.extra=[]", *QUIET]) == 0
    assert read("repeats.json", "new")["exits"] == {"seed-0": 0, "seed-1": 0}
