"""What killed exports have left is removed, and nothing that another process is writing."""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from trainkit.export.leavings import sweeping

NAMES = ["saved_model"]


def test_an_export_removes_what_killed_ones_have_left_unless_another_is_at_it(tmp_path: Path) -> None:
    left = tmp_path / ".0123abcd-saved_model"
    (left / "variables").mkdir(parents=True)
    (tmp_path / ".0123abcd-mine.txt").touch()
    with sweeping(tmp_path, NAMES):
        with sweeping(tmp_path, NAMES):
            pass
        assert left.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".0123abcd-mine.txt"]


def test_an_export_that_begins_while_another_removes_waits_and_keeps_its_files(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    export = sweeping(tmp_path, NAMES)
    with ThreadPoolExecutor(1) as thread:
        begun = thread.submit(export.__enter__)
        try:
            assert not wait([begun], timeout=0.1).done
        finally:
            os.close(descriptor)
        begun.result()
    beside = tmp_path / ".0123abcd-saved_model"
    beside.mkdir()
    with sweeping(tmp_path, NAMES):
        pass
    assert beside.exists()
    export.__exit__(None, None, None)


def test_what_another_program_begins_to_write_meanwhile_stays(tmp_path: Path) -> None:
    """A training that writes its model there knows nothing of exports."""
    beside = tmp_path / ".0123abcd-saved_model"
    with sweeping(tmp_path, NAMES):
        beside.mkdir()
    assert beside.exists()
