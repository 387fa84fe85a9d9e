"""`launch max_restarts=N` starts all workers again from what was saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from trainkit.checkpoint import members
from trainkit.cli import arguments
from trainkit.cli.commands import launch
from trainkit.cli.compose import compose
from trainkit.cli.settings import as_yaml, plain
from trainkit.core.errors import UserError
from trainkit.distributed import launcher


def save(run: Path) -> None:
    content = {"position": {"epoch": 1, "step_in_epoch": 0, "step": 5}, "callbacks": {}}
    record = members.Record(content=content, variables=[("model/kernel", np.zeros(3))])
    record.write(run / "checkpoints" / "last")
    (run / "config.yaml").write_text("{}")


def launched(
    monkeypatch: pytest.MonkeyPatch, codes: Sequence[int], words: Sequence[str], saves_at: int = 99
) -> tuple[int, list[list[str]]]:
    """The exit code, and the words of each launch, of which the `saves_at`-th saves something."""
    told: list[list[str]] = []

    def pretend(workers: int, words: Sequence[str], *, silence: float) -> int:
        told.append(list(words))
        if len(told) == saves_at:
            save(Path(next(word.partition("=")[2] for word in words if word.startswith("run_dir="))))
        return codes[len(told) - 1]

    monkeypatch.setattr(launcher, "launch", pretend)
    return launch.run(["workers=2", "task=boston", *words]), told


def test_a_failed_launch_goes_on_from_what_was_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["max_restarts=5", f"run_dir={run}", "trainer.epochs=3"]
    code, told = launched(monkeypatch, [1, 1, 1, 0], words, saves_at=2)
    assert code == 0
    assert told == [
        ["task=boston", f"run_dir={run}", "trainer.epochs=3"],
        ["task=boston", "trainer.epochs=3", f"run_dir={run}"],
        ["task=boston", "trainer.epochs=3", f"resume={run}"],
        ["task=boston", "trainer.epochs=3", f"resume={run}"],
    ]
    assert "restart 1 of at most 5, from the start" in capsys.readouterr().out


def test_a_launch_without_a_directory_keeps_to_the_one_that_it_chose(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, told = launched(monkeypatch, [1, 0], ["max_restarts=1", f"runs_dir={tmp_path}"])
    assert code == 0
    assert told[0] == told[1]
    assert told[0][-1].startswith(f"run_dir={tmp_path}/boston/")


@pytest.mark.parametrize("code", [2, 130, 143])
def test_wrong_use_and_signals_are_no_failures(
    code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended, told = launched(monkeypatch, [code], ["max_restarts=3", f"run_dir={tmp_path / 'run'}"])
    assert ended == code
    assert len(told) == 1


def test_failures_without_end_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, told = launched(monkeypatch, [1] * 9, ["max_restarts=2", f"run_dir={tmp_path / 'run'}"])
    assert (code, len(told)) == (1, 3)


@pytest.mark.parametrize("strategy", ["one_device", "mirrored"])
def test_workers_that_would_each_train_by_themselves_are_refused(
    strategy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the command line, and by the settings of the run that is resumed, unless the command has others."""
    with pytest.raises(UserError, match=f"needs trainer.strategy=auto or multi_worker; got {strategy}, with"):
        launched(monkeypatch, [], [f"trainer.strategy={strategy}"])
    save(tmp_path)
    settings = compose(arguments.parse(["task=boston", f"trainer.strategy={strategy}"]))[0].settings
    (tmp_path / "config.yaml").write_text(as_yaml(plain(settings, resolve=True)))
    with pytest.raises(UserError, match=f"launch workers=2 needs .* got {strategy}, with which each"):
        launched(monkeypatch, [], [f"resume={tmp_path}"])
    code, told = launched(monkeypatch, [0], [f"resume={tmp_path}", "trainer.strategy=auto"])
    assert (code, len(told)) == (0, 1)
    monkeypatch.setattr(launcher, "launch", lambda *args, **kwargs: 0)
    assert launch.run(["workers=1", "task=boston", f"trainer.strategy={strategy}"]) == 0


@pytest.mark.parametrize("word", ["max_restarts=-1", "max_restarts=many", "max_restarts="])
def test_no_number_is_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="expected one whole number"):
        launched(monkeypatch, [0], [word])
