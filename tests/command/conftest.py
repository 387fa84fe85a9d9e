"""The command in an empty folder, with a user's own task; in one process, since TensorFlow starts slowly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import OWN_MODULE, OWN_TASK, QUIET
from trainkit.cli import main


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)
    return folder


@pytest.fixture
def train(empty_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command with a user's own task: `train("trainer.epochs=2")`."""
    (tmp_path / "my" / "task").mkdir(parents=True)
    (tmp_path / "my" / "mine.py").write_text(OWN_MODULE)
    (tmp_path / "my" / "task" / "tiny.yaml").write_text("# @package _global_\n" + OWN_TASK)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return lambda *words: main.main(["--config-dir", str(tmp_path / "my"), "task=tiny", *QUIET, *words])
