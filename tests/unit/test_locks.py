"""A lock is held by one process, and by nobody once that one has let go of it."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

from trainkit.runs.lock import LOCK, is_locked, locked


def test_a_forked_process_does_not_hold_the_lock_of_a_run(tmp_path: Path) -> None:
    begun, child_begun = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            os.write(child_begun, b"x")
            signal.pause()
            os._exit(0)
        try:
            os.read(begun, 1)
            assert is_locked(tmp_path)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
    try:
        assert not is_locked(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(begun)
        os.close(child_begun)


def test_one_who_looks_whether_a_run_is_locked_is_not_taken_for_its_writer(tmp_path: Path) -> None:
    with open(tmp_path / LOCK, "w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not is_locked(tmp_path)
