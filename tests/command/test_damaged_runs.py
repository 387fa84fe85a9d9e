"""Runs that are damaged, or whose process was killed or failed, go on or say what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.faults.disks import TakesNo
from tests.support.commands import QUIET, read
from trainkit.cli import main
from trainkit.core import files

BEST = Path("run/checkpoints/best/variables.bin")
# The first epoch is the best one, whatever comes.
FIRST_IS_BEST = ("checkpoint.monitor=loss", "checkpoint.mode=max", "optimizer=sgd")


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [change_a_byte, lambda path: shutil.rmtree(path.parent)])
def test_a_resumed_run_that_has_lost_its_best_epoch_says_so_and_chooses_anew(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], harm: Callable[[Path], object]
) -> None:
    assert train("trainer.epochs=2", "run_dir=run", *FIRST_IS_BEST) == 0
    assert read("summary.json", "run")["best"]["epoch"] == 1
    harm(BEST)
    with pytest.warns(
        UserWarning, match=r"run/checkpoints/best, .* epoch 1, is damaged or gone: the best one"
    ):
        assert main.main(["resume=run", "trainer.epochs=3", *QUIET]) == 0
    summary = read("summary.json", "run")
    assert summary["best"]["epoch"] == 3
    assert summary["best"]["test"] == summary["test"]


def test_a_run_that_was_killed_at_its_test_and_has_lost_its_best_epoch_ends_with_the_last_weights(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("trainer.epochs=2", "run_dir=run", *FIRST_IS_BEST) == 0
    Path("run/summary.json").unlink()
    Path("run/model.keras").unlink()
    status = read("status.json", "run")
    Path("run/status.json").write_text(json.dumps({**status, "status": "running"}))
    change_a_byte(BEST)
    with pytest.warns(UserWarning, match="if none do, model.keras holds the last weights"):
        assert main.main(["resume=run", *QUIET]) == 0
    assert "Best:      none" in capsys.readouterr().out
    summary = read("summary.json", "run")
    assert (summary["status"], summary["best"]) == ("completed", {})
    model = keras.saving.load_model("run/model.keras")
    assert all(np.isfinite(value).all() for value in model.get_weights())
    assert summary["test"]


def test_a_run_whose_name_ends_as_that_of_a_checkpoint_is_a_run(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("trainer.epochs=1", "run_dir=my-last", "checkpoint.every_epochs=1") == 0
    change_a_byte(Path("my-last/checkpoints/last/variables.bin"))
    with pytest.warns(UserWarning, match="The newest whole one is used"):
        assert main.main(["resume=my-last", "trainer.epochs=2", *QUIET]) == 0
    change_a_byte(Path("my-last/checkpoints/last/variables.bin"))
    assert main.main(["resume=my-last/checkpoints/last/", "trainer.epochs=3", *QUIET]) == 2
    assert "A whole one is" in capsys.readouterr().err


def test_a_complete_run_that_was_killed_before_its_report_gets_it(train: Callable[..., int]) -> None:
    assert train("trainer.epochs=1", "run_dir=run", "callbacks.report=true") == 0
    report = Path("run/report.html")
    whole = report.read_text()
    report.unlink()
    assert main.main(["resume=run"]) == 0
    assert report.read_text() == whole
    report.write_text("of a process that was killed before it had ended")
    os.utime(report, (0, 0))
    assert main.main(["resume=run"]) == 0
    assert report.read_text() == whole
    report.write_text("newer")
    assert main.main(["resume=run"]) == 0
    assert report.read_text() == "newer"


def test_what_the_disk_does_not_take_is_left_out_and_the_rest_is_made(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [f"callbacks.{name}=true" for name in ("csv", "plots", "report")]
    with files.using(TakesNo(".png", ".keras", ".html")), pytest.warns(UserWarning, match="No space") as told:
        assert train("trainer.epochs=1", "run_dir=run", *wanted) == 1
    texts = [str(one.message) for one in told]
    for name in ("plots/loss.png", "plots/accuracy.png", "model.keras", "report.html"):
        assert len([text for text in texts if text.startswith(f"Cannot write run/{name}: No space")]) == 1
    summary, status = read("summary.json", "run"), read("status.json", "run")
    assert summary["test"]
    assert summary["status"] == status["status"] == "failed"
    said = capsys.readouterr()
    assert "Test last:" in said.out
    assert "loss.png: No space left on device, and 2 more. Resume: " in said.err
    assert main.main(["resume=run", "progress=none"]) == 0
    for name in ("plots/loss.png", "model.keras", "report.html"):
        assert Path("run", name).is_file()


def test_a_run_that_lacks_its_report_alone_has_failed_too(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with files.using(TakesNo(".html")), pytest.warns(UserWarning, match="mode=report resume=run writes it"):
        assert train("trainer.epochs=1", "run_dir=run", "callbacks.report=true") == 1
    assert read("summary.json", "run")["status"] == read("status.json", "run")["status"] == "failed"
    assert "Cannot write run/report.html: No space left on device. Resume: " in capsys.readouterr().err
    assert main.main(["resume=run", "progress=none"]) == 0
    assert read("summary.json", "run")["status"] == read("status.json", "run")["status"] == "completed"
    assert Path("run/report.html").is_file()


def test_a_resumed_run_that_came_to_its_end_keeps_nothing_of_attempts_that_did_not(
    train: Callable[..., int],
) -> None:
    assert train("trainer.epochs=1", "run_dir=run") == 0
    left = Path("run/checkpoints/.0123abcd-step-00000003")
    left.mkdir()
    Path("run/error.txt").touch()
    assert main.main(["resume=run", "trainer.epochs=2", *QUIET]) == 0
    assert not left.exists()
    assert not Path("run/error.txt").exists()


def test_a_run_that_failed_without_a_checkpoint_says_what_to_do_and_leads_in_no_circle(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run_dir=run", "checkpoint.enabled=false", "callbacks.csv=true", "trainer.epochs=1")
    assert train(*words, "callbacks.extra=[{_target_: mine.Break}]") == 1
    Path("run/metrics.csv").write_text("epoch,step\n1,4\n")  # which somebody may want to see
    capsys.readouterr()
    assert train(*words) == 2
    again = capsys.readouterr().err
    assert "no checkpoint to go on from: choose another, or remove that folder." in again
    assert main.main(["resume=run"]) == 2
    assert "start it anew in another run_dir" in capsys.readouterr().err
    Path("run/metrics.csv").unlink()
    status = read("status.json", "run")
    Path("run/status.json").write_text(json.dumps({**status, "status": "preempted"}))
    assert main.main(["resume=run"]) == 2
    assert "start it anew, or name another" in capsys.readouterr().err
    assert train(*words) == 0
