"""Nothing is written to the path of a held folder that is no longer there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from trainkit.checkpoint.writer import Writer
from trainkit.core import files
from trainkit.core.held import FolderMoved
from trainkit.runs.lock import locked


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    return folder


def test_a_moved_folder_is_not_made_anew_by_any_writer(old: Path) -> None:
    new = old.with_name("new")
    with locked(old):
        os.rename(old, new)
        with pytest.raises(FolderMoved) as made:
            files.make_folder(old)
        with pytest.raises(FolderMoved):
            files.write_text(old / "a.txt", "")
        with pytest.raises(FolderMoved), files.replacing_folder(old / "checkpoints" / "last"):
            pass
        assert (made.value.old, made.value.new) == (old, new)
        assert not old.exists()
    files.write_text(old / "a.txt", "")  # nobody holds it any more


def test_a_move_while_a_file_is_written_is_told_as_one(old: Path) -> None:
    with locked(old), pytest.raises(FolderMoved), files.replacing_folder(old / "last"):
        os.rename(old, old.with_name("new"))
    assert not old.exists()


def test_another_folder_in_its_place_stays_as_it_is(old: Path) -> None:
    with locked(old):
        os.rename(old, old.with_name("new"))
        old.mkdir()
        with pytest.raises(FolderMoved):
            files.write_text(old / "a.txt", "")
        assert list(old.iterdir()) == []


def test_a_folder_that_is_removed_is_nowhere(old: Path) -> None:
    with locked(old):
        (old / ".lock").unlink()
        old.rmdir()
        with pytest.raises(FolderMoved, match="it was removed") as gone:
            files.write_text(old / "a.txt", "")
    assert gone.value.new is None


def test_a_folder_that_came_back_is_written(old: Path) -> None:
    with locked(old):
        os.rename(old, old.with_name("new"))
        os.rename(old.with_name("new"), old)
        files.write_text(old / "a.txt", "")


def test_a_writer_does_not_try_again_in_a_moved_folder(old: Path) -> None:
    writer = Writer(sleep=lambda seconds: pytest.fail("it waits for another attempt"))
    with locked(old):
        os.rename(old, old.with_name("new"))
        writer.submit("last", lambda: files.write_text(old / "a.txt", ""))
        with pytest.raises(FolderMoved):
            writer.finish()


def test_a_folder_that_the_disk_numbers_anew_is_written(old: Path) -> None:
    with locked(old):
        shutil.copytree(old, old.with_name("copy"))
        shutil.rmtree(old)
        os.rename(old.with_name("copy"), old)
        files.write_text(old / "a.txt", "")
    assert (old / "a.txt").exists()
