"""Attempts at a training, as processes that can be killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from trainkit.core import files
from trainkit.core.errors import UserError

__all__ = ["Attempt", "Forked", "Launched"]

POLL_SECONDS = 0.002
LONELY_SECONDS = 120.0  # after one of several workers was killed


class Attempt(Protocol):
    """A process that trains."""

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after so many seconds."""
        ...

    def kill(self, chosen: float) -> None:
        """Kill it, with all that it has started, and wait until it is gone.

        Args:
            chosen: From 0 to 1: of several workers, below one half, which of them is killed alone; the others
                have to end by themselves then.
        """
        ...


class Forked:
    """A copy of this process that calls a function: it has imported what this one has.

    Args:
        run: Trains, and returns the exit code.
        log: Where its output goes.
        writes: It kills itself before so many operations on the disk; 0: it does not.
    """

    def __init__(self, run: Callable[[], int], log: Path, writes: int = 0) -> None:
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(run, log, writes)

    def wait(self, seconds: float) -> int | None:
        deadline = time.monotonic() + seconds
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return None
            else:
                time.sleep(POLL_SECONDS)
        return self._code

    def kill(self, chosen: float) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Launched:
    """A command, with the workers that it starts.

    Args:
        command: Its words.
        log: Where its output goes.
        workers: How many it starts.
    """

    def __init__(self, command: Sequence[str], log: Path, workers: int = 1) -> None:
        self.workers = workers
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self, chosen: float) -> None:
        workers = _children(self._process.pid)
        if chosen < 0.5 and 1 < self.workers == len(workers):
            _kill(workers[int(2 * chosen * len(workers))])
            if self.wait(LONELY_SECONDS) is not None:
                return
            alone = f"The other workers had not ended {LONELY_SECONDS:g} s after one of them was killed"
            self._kill_all()
            raise UserError(f"{alone}.")
        self._kill_all()

    def _kill_all(self) -> None:
        for pid in [*_descendants(self._process.pid), self._process.pid]:
            _kill(pid)
        self._process.wait()


class _Killing(files.Disk):
    """A disk before whose so-manieth operation the process is killed."""

    def __init__(self, left: int) -> None:
        self.left = left

    def write(self, path: Path, parts: Iterable[Any]) -> None:
        self._count()
        super().write(path, parts)

    def flush(self, path: Path) -> None:
        self._count()
        super().flush(path)

    def rename(self, new: Path, path: Path) -> None:
        self._count()
        super().rename(new, path)

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _become(run: Callable[[], int], log: Path, writes: int) -> None:
    """Run in the new process, and end it."""
    code = 1
    try:
        os.setsid()
        with log.open("ab", buffering=0) as output:
            _redirect(output)
        with files.using(_Killing(writes) if writes else files.Disk()):
            code = run()
    finally:
        os._exit(code)


def _redirect(output: IO[bytes]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, output.fileno()), (2, output.fileno())):
        os.dup2(source, target)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    return [found for child in _children(pid) for found in (child, *_descendants(child))]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found
