"""What a process has started for a part of its work stops, with its state saved, when that process dies."""

from __future__ import annotations

import os
import signal
import threading
import time

__all__ = ["environment", "stop_with_parent"]

PARENT = "TRAINKIT_PARENT"  # of a process that is to end with the one of this number, which started it
LOOK_SECONDS = 1.0


def environment(**more: str) -> dict[str, str]:
    """The environment of a process which this one starts, and which is to end when this one dies.

    Args:
        more: What it has besides that of this process.
    """
    return {**os.environ, PARENT: str(os.getpid()), **more}


def stop_with_parent() -> None:
    """Watch from now on whoever started this process, if it is to end with it."""
    parent = os.environ.pop(PARENT, "")  # what this process starts has another parent
    if parent.isdigit():
        threading.Thread(target=_stop_without, args=(int(parent),), daemon=True).start()


def _stop_without(parent: int) -> None:
    """Ask this process to stop as soon as its parent is another one, if nobody has: a signal to their whole
    group has reached this process, too, and a second one would end it at once."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    from trainkit.experiment.signals import is_stopping  # not before the first word of the command

    if not is_stopping():
        os.kill(os.getpid(), signal.SIGTERM)
