"""Says what a command is doing before its first result, since importing TensorFlow takes seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from trainkit.core.figures import duration

__all__ = ["stage"]


@contextmanager
def stage(what: str, *, shown: bool) -> Iterator[None]:
    """Print `what ...` at once, and at the end of the block how long it took.

    Args:
        what: What the block does.
        shown: Whether to print at all.
    """
    if not shown:
        yield
        return
    print(f"{what} ...", end="", flush=True)
    begin = time.perf_counter()
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f" {duration(time.perf_counter() - begin)}", flush=True)
