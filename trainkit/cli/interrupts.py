"""Ctrl-C while modules are imported: code that is half imported knows nothing of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from trainkit.core import stderr

__all__ = ["end", "ending_at_once"]

SAID = b"\ntrainkit: interrupted before the training started.\n"


def end(number: int, frame: FrameType | None) -> None:
    """A handler that ends the process at once, without a traceback."""
    stderr.write(SAID)
    os._exit(128 + number)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """In the block, which imports modules and leaves no files, Ctrl-C ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
