"""Says what a command is doing before its first result, since importing TensorFlow takes seconds."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainkit.core.figures import duration

__all__ = ["stage"]


@contextmanager
def stage(what: str, *, shown: bool) -> Iterator[None]:
    """Print `what ...` at once, and at the end of the block how long it took; warnings come after it.

    Args:
        what: What the block does.
        shown: Whether to print at all.
    """
    if not shown:
        yield
        return
    print(f"{what} ...", end="", flush=True)
    begin = time.perf_counter()
    show, held = warnings.showwarning, list[tuple[Any, ...]]()
    warnings.showwarning = lambda *warning: held.append(warning)  # not in the middle of the line
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    else:
        print(f" {duration(time.perf_counter() - begin)}", flush=True)
    finally:
        warnings.showwarning = show
        for warning in held:
            show(*warning)
