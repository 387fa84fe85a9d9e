"""Signals that come after a training, while its model is tested, and runs that were killed then."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import QUIET, read
from trainkit.cli import main
from trainkit.trainer.trainer import Trainer


@pytest.fixture
def at_the_test(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets a signal come once, when the next training is over and its model is tested."""
    evaluate = Trainer.evaluate

    def send(number: int) -> None:
        left = [number]

        def interrupted(self: Trainer, *args: Any, **more: Any) -> Any:
            if left:
                signal.raise_signal(left.pop())
            return evaluate(self, *args, **more)

        monkeypatch.setattr(Trainer, "evaluate", interrupted)

    return send


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_test_of_one_run_ends_all_seeds(
    train: Callable[..., int], at_the_test: Callable[[int], None], number: int, code: int
) -> None:
    at_the_test(number)
    assert train("fit.seeds=2", "trainer.epochs=1", "run_dir=all") == code
    assert read("repeats.json", "all")["exits"] == {"seed-0": 0, "seed-1": None}
    assert read("status.json", "all/seed-0")["status"] == "completed"
    assert read("summary.json", "all/seed-0")["test"]
    assert main.main(["resume=all", *QUIET]) == 0
    assert read("repeats.json", "all")["exits"] == {"seed-0": 0, "seed-1": 0}


def test_a_signal_during_the_test_of_one_job_ends_the_multirun(
    train: Callable[..., int], at_the_test: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    at_the_test(signal.SIGINT)
    assert train("-m", "trainer.epochs=1", "trainer.seed=0,1") == 130
    assert "1 of 2 jobs done" in capsys.readouterr().out
    folder = next(Path("runs/multirun").iterdir())
    jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
    assert [job["exit"] for job in jobs] == [0, None]
    assert main.main([f"resume={folder}"]) == 0
