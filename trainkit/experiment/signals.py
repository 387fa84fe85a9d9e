"""mode=fit: a training with everything around it, from the run directory to the last lines on the terminal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainkit.trainer.trainer import Trainer

# While it trains.


@contextmanager
def _stoppable(trainer: Trainer) -> Iterator[None]:
    """In the block, Ctrl-C and SIGTERM end the training at the next safe point; a second Ctrl-C ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    asked: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(2, b"\nStopping at the next safe point, with the state saved; Ctrl-C again stops at once.\n")
        trainer.request_stop(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
