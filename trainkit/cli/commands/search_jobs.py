"""The other processes of `tune.jobs`, which import TensorFlow while the first one does, and wait for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trainkit.cli import parent
from trainkit.core.words import override

__all__ = ["SearchJobs", "wait", "waits"]

SET_FOR_JOBS = ("run_dir=", "tune.jobs=", "progress=", "tune.refit=")
END_SECONDS = 30.0  # that a process on a busy machine may take to end
LOG = "TRAINKIT_SEARCH_LOG"  # of a process that waits: where it is to write what it says


class SearchJobs:
    """Processes that search together with this one.

    They are started before anything is checked that needs TensorFlow, make nothing until `begin`, and end
    quietly if it never comes.

    Args:
        words: Arguments of the command.
        folder: Of the search, which is to be made.
        count: How many there are, this one included.
    """

    def __init__(self, words: Sequence[str], folder: Path, count: int) -> None:
        self._logs = [folder / f"job-{number}.log" for number in range(2, count + 1)]
        kept = [word for word in words if not word.lstrip("+").startswith(SET_FOR_JOBS)]
        own = [override("run_dir", str(folder)), "tune.jobs=1", "tune.refit=false", "progress=none"]
        command = [sys.executable, "-m", "trainkit", *kept, *own]
        self._processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=parent.environment(**{LOG: str(log.absolute())}),
            )
            for log in self._logs
        ]

    def begin(self) -> None:
        """Let them search: the folder is there."""
        for process in self._processes:
            with suppress(BrokenPipeError):
                self._tell(process, b"\n")

    def close(self) -> None:
        """Let those that still wait end."""
        for process in self._processes:
            with suppress(BrokenPipeError):
                self._tell(process, b"")

    def end(self, seconds: float, *, stopped: bool) -> None:
        """Wait for them, once they have nothing left to do.

        Args:
            seconds: After which one that does not answer is taken for dead, if that is longer than a process
                may take to end.
            stopped: Whether they are asked to stop.
        """
        self.close()
        for process, log in zip(self._processes, self._logs, strict=True):
            if stopped:
                process.terminate()
            died = "was killed"
            try:
                code = process.wait(max(seconds, END_SECONDS))
            except subprocess.TimeoutExpired:
                died = "no longer answered"
                process.kill()
                code = process.wait()
            if code == -signal.SIGKILL:
                print(f"trainkit: a job of the search {died}; its trials were taken up.")
            elif code not in (0, 130, 143, -15):
                print(
                    f"trainkit: a job of the search ended with exit code {code}; see {log}.", file=sys.stderr
                )

    @staticmethod
    def _tell(process: subprocess.Popen[bytes], word: bytes) -> None:
        pipe = process.stdin
        if pipe is not None and not pipe.closed:
            try:
                pipe.write(word)
            finally:
                pipe.close()


def waits() -> bool:
    """Whether this process was started by another one that searches."""
    return LOG in os.environ


def wait() -> bool:
    """Wait until the folder of the search is there, and write from now on into a file of it; False: the
    other process has ended without a search."""
    log = os.environ.pop(LOG)
    if not sys.stdin.buffer.read(1):
        return False
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return True
