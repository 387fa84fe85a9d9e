"""The command in an empty folder, with a user's own task; in one process, since TensorFlow starts slowly."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.commands import OWN_MODULE, OWN_TASK, QUIET
from trainkit.cli import main
from trainkit.experiment.shared_programs import shared_programs
from trainkit.trainer import roofline


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[None]:
    """All trainings of a process share their programs, as the jobs of a multirun do."""
    with shared_programs():
        yield


@pytest.fixture(scope="session", autouse=True)
def told_ceiling() -> Iterator[None]:
    """How fast a step could be is counted, but not timed: that compiles two more programs for each model, and
    tests/unit/test_ceiling.py does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofline, "_time", lambda found: 1e-6)
        yield


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)
    return folder


def command_of_own_task(folder: Path) -> Callable[..., int]:
    """The command with a user's own task, which is written to `folder`."""
    (folder / "task").mkdir(parents=True)
    (folder / "mine.py").write_text(OWN_MODULE)
    (folder / "task" / "tiny.yaml").write_text("# @package _global_\n" + OWN_TASK)
    return lambda *words: main.main(["--config-dir", str(folder), "task=tiny", *QUIET, *words])


@pytest.fixture
def train(empty_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command with a user's own task: `train("trainer.epochs=2")`."""
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return command_of_own_task(tmp_path / "my")


@pytest.fixture(scope="session")
def runs_of_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `runs` after `train()`."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("TRAINKIT_DATA", raising=False)
        patch.delitem(sys.modules, "mine", raising=False)
        assert command_of_own_task(folder / "my")() == 0
    return folder / "runs"


@pytest.fixture
def trained(train: Callable[..., int], runs_of_tiny: Path) -> Callable[..., int]:
    """`train`, after it was called once: with a copy of the run that all tests share."""
    shutil.copytree(runs_of_tiny, "runs", symlinks=True)
    return train
