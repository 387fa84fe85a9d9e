"""Attempts at a training, as processes that can be killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from trainkit.core import files

__all__ = ["Attempt", "Forked", "Launched"]

POLL_SECONDS = 0.002


class Attempt(Protocol):
    """A process that trains."""

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after so many seconds."""
        ...

    def kill(self) -> None:
        """Kill it, with all that it has started, and wait until it is gone."""
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

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Launched:
    """A command, with the workers that it starts.

    Args:
        command: Its words.
        log: Where its output goes.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        for pid in [*_descendants(self._process.pid), self._process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
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


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in path.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found
