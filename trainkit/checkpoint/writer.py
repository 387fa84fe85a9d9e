"""Writes checkpoints in a thread, so that a training waits for the copy of its state and no longer."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from trainkit.core.errors import UserError
from trainkit.core.held import FolderMoved
from trainkit.core.helpers import HelperThreads

__all__ = ["Writer"]

RETRY_SECONDS = 0.5  # between the last attempts, when a training ends
LAST_ATTEMPTS = 3
MAX_STATES = 2  # that wait or are being written when another one is copied


@dataclass
class _Job:
    """A file or folder to be written.

    Args:
        name: For people; a later job of the same name takes its place.
        write: Writes it.
        retry: Whether it is tried again when it fails.
        result: Of the attempt that is going on, or of the last one.
    """

    name: str
    write: Callable[[], object]
    retry: bool
    result: Future[None]


class Writer:
    """Runs writing jobs one after the other, in a thread.

    A job that fails, as where the disk is full, is warned of and tried again with the next one; it never ends
    the training, unless its folder was moved or removed. Of two waiting jobs of one name only the later is
    written.

    Args:
        sleep: Waits some seconds; for tests.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self.sleep = sleep
        self.seconds = 0.0  # that the last job took
        self._thread = HelperThreads(1, "trainkit-writer")
        self._jobs: list[_Job] = []
        self._warned: set[str] = set()
        self._lost: dict[str, Exception] = {}

    @property
    def busy(self) -> bool:
        """Whether something is being written, or waits for it."""
        return any(not job.result.done() for job in self._jobs)

    def submit(self, name: str, write: Callable[[], object], *, retry: bool = True) -> None:
        """Write as soon as what came before is written.

        Args:
            name: For people; a later job of the same name takes the place of one that waits or failed.
            write: Writes it.
            retry: Whether to keep it, and try again, if it fails.
        """
        self.settle()
        self._jobs = [job for job in self._jobs if job.name != name or not _gives_way(job)]
        self._start_failed()
        self._start(name, write, retry)

    def make_room(self, name: str) -> None:
        """Wait, before a state is copied, until few others are held: a disk may be slower than a training.

        Args:
            name: Of the job that is to come, which takes the place of one that waits.
        """
        held = self._held(name)
        while len(held) >= MAX_STATES:
            held[0].result.exception()
            held = self._held(name)

    def settle(self) -> None:
        """Forget the jobs that are done, and warn of those that failed.

        Raises:
            FolderMoved: if the folder to write to was moved or removed: no later attempt would succeed.
        """
        for job in list(self._jobs):
            error = job.result.exception() if job.result.done() else None
            if not job.result.done():
                continue
            if error is None:
                self._warned.discard(job.name)
            elif isinstance(error, FolderMoved):
                self._jobs = []
                raise error
            elif not isinstance(error, (UserError, OSError)):
                raise error
            elif job.name not in self._warned:
                self._warned.add(job.name)
                again = "; it is tried again" if job.retry else ""
                warnings.warn(f"{str(error).rstrip('.')}. The training goes on{again}.", stacklevel=2)
            if error is None or not job.retry:
                self._jobs.remove(job)
            if isinstance(error, Exception) and not job.retry:
                self._lost[job.name] = error

    def wait(self) -> None:
        """Wait until no job is left that was not tried."""
        for job in self._jobs:
            job.result.exception()
        self.settle()

    def close(self) -> None:
        """Wait as `wait` does, at the end of a training. A folder that was moved or removed is told by the
        saving that follows, or not at all where another error ended the training."""
        with suppress(FolderMoved):
            self.wait()

    def finish(self) -> None:
        """Wait for all jobs, and try those that failed again, some times.

        Raises:
            UserError: if something could not be written after all.
        """
        self.wait()
        for _ in range(LAST_ATTEMPTS):
            if self._jobs:
                self.sleep(RETRY_SECONDS)
                self._start_failed()
                self.wait()
        for job in self._jobs:
            error = job.result.exception()
            if isinstance(error, Exception):
                self._lost[job.name] = error
        self._jobs = []
        lost, self._lost = self._lost, {}
        if lost:
            reason = next(iter(lost.values()))
            raise UserError(f"The training is done, but could not save {', '.join(lost)}: {reason}")

    def _held(self, name: str) -> list[_Job]:
        going_on = [job for job in self._jobs if not job.result.done()]
        return [job for job in going_on if job.name != name or job.result.running()]

    def _start_failed(self) -> None:
        failed = [job for job in self._jobs if job.result.done()]
        self._jobs = [job for job in self._jobs if not job.result.done()]
        for job in failed:
            self._start(job.name, job.write, job.retry)

    def _start(self, name: str, write: Callable[[], object], retry: bool) -> None:
        job = _Job(name, write, retry, Future())
        job.result = self._thread.submit(self._run, job)
        self._jobs.append(job)

    def _run(self, job: _Job) -> None:
        begin = time.perf_counter()
        job.write()
        job.write = _nothing  # what is written needs no memory any more, though nobody has asked yet
        self.seconds = time.perf_counter() - begin


def _nothing() -> None:
    """What is left of a job that is done."""


def _gives_way(job: _Job) -> bool:
    """Whether a job has failed, or has not begun and never will."""
    return job.result.done() or job.result.cancel()
