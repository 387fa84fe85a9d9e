"""Ends a training on Ctrl-C and SIGTERM, with its state saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["EXIT_CODES", "stop_on_signals"]

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143}  # 128 and the number of the signal, as shells count


@contextmanager
def stop_on_signals(request_stop: Callable[[str], None]) -> Iterator[None]:
    """In the block, Ctrl-C and SIGTERM stop a training at the next safe point; a second Ctrl-C at once.

    Args:
        request_stop: Takes the name of the signal.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        # os.write, as a signal handler may interrupt a print.
        os.write(2, b"\nStopping at the next safe point, with the state saved; Ctrl-C again stops at once.\n")
        request_stop(signal.Signals(number).name)

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
