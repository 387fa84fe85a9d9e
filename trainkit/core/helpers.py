"""Threads that work ahead of, or behind, the one that trains."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

__all__ = ["HelperThreads"]


class HelperThreads(ThreadPoolExecutor):
    """A pool of threads that can be given work until its owner shuts it down.

    Python's own takes none from the end of the main thread on, when other threads, and functions that are
    called at the exit, may still be training. Then the caller does the work at once, after what was given
    before.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._latest: Future[Any] | None = None
        self._is_shut_down = False

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Have a function called; see `ThreadPoolExecutor`."""
        try:
            self._latest = super().submit(function, *arguments, **named)
        except RuntimeError as error:
            # A thread that cannot be started leaves the work in the queue, for the next one that can.
            if self._is_shut_down or not str(error).startswith("cannot schedule new futures"):
                raise
            if self._latest is not None:
                wait([self._latest])
            done: Future[Any] = Future()
            try:
                done.set_result(function(*arguments, **named))
            except Exception as failure:
                done.set_exception(failure)
            self._latest = done
        return self._latest

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; see `ThreadPoolExecutor`."""
        self._is_shut_down = True
        super().shutdown(wait, cancel_futures=cancel_futures)
