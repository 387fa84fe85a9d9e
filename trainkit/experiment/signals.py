"""Ends a training on Ctrl-C, SIGTERM and SIGHUP, with its state saved."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["EXIT_CODES", "NUMBERS", "is_stopping", "stop_on_signals"]

EXIT_CODES = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}  # 128 and the number, as shells count
GRACE_SECONDS = 8.0  # after a signal, to come to a safe point and save
SECOND_SECONDS = 0.3  # after a second signal, to end in order
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_heard = threading.Event()


def is_stopping() -> bool:
    """Whether the training of this process has had a signal to stop."""
    return _heard.is_set()


@contextmanager
def stop_on_signals(
    request_stop: Callable[[str], None],
    give_up: Callable[[str], None] | None = None,
    grace: float = GRACE_SECONDS,
) -> Iterator[None]:
    """In the block, Ctrl-C, SIGTERM and SIGHUP stop a training at the next safe point; a second one at once.

    A SIGHUP that the process ignores, as under nohup, stays ignored.

    Python hears of a signal only between two calls of compiled code, and a call may last: a thread sees to it
    that the process ends in time.

    Args:
        request_stop: Takes the name of the signal.
        give_up: Takes the name of the signal, and ends the process, if no safe point was reached in time or a
            second signal came. None: nothing does.
        grace: Seconds from the first signal until then.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    received: list[int] = []
    _heard.clear()

    def stop(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        _heard.set()
        # os.write, as a signal handler may interrupt a print.
        os.write(2, b"\nStopping at the next safe point, with the state saved; Ctrl-C again stops at once.\n")
        request_stop(signal.Signals(number).name)

    heard = [number for number in NUMBERS if not _is_ignored(number)]
    former = {number: signal.signal(number, stop) for number in heard}
    try:
        if give_up is None:
            yield
        else:
            with _watched(give_up, grace):
                yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _is_ignored(number: signal.Signals) -> bool:
    """Whether whoever started the process wants it to outlive its terminal."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


@contextmanager
def _watched(give_up: Callable[[str], None], grace: float) -> Iterator[None]:
    """In the block, a thread hears of each signal at once, and gives up when it is time."""
    heard, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    former = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(heard, give_up, grace), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        os.close(wakeup)  # which ends the thread
        thread.join()
        os.close(heard)


def _watch(heard: int, give_up: Callable[[str], None], grace: float) -> None:
    numbers: list[int] = []
    deadline = float("inf")
    while True:
        left = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        if not select.select([heard], [], [], left)[0]:
            give_up(signal.Signals(numbers[0]).name)
            return
        came = os.read(heard, 64)
        if not came:
            return
        for number in came:
            if number in NUMBERS:
                numbers.append(number)
                _heard.set()
                seconds = grace if len(numbers) == 1 else SECOND_SECONDS
                deadline = min(deadline, time.monotonic() + seconds)
