"""How much memory programs can have on this machine."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_host_bytes"]

CGROUP = Path("/sys/fs/cgroup")


def available_host_bytes() -> float:
    """Bytes of memory that this process can have without swapping: what the machine has free, what a
    container leaves, and what `ulimit` allows. On Linux, what caches of files hold counts as free."""
    return max(0.0, min([_machine(), *_container(), *_limits()]))


def _machine() -> float:
    try:
        lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
        return next(float(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    except (OSError, StopIteration):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))


def _container() -> Iterator[float]:
    """What the limit of a control group (version 2) leaves; caches of files give way."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        limit = float((CGROUP / "memory.max").read_text())  # "max" is no number
        used = float((CGROUP / "memory.current").read_text())
        lines = [line.split() for line in (CGROUP / "memory.stat").read_text().splitlines()]
        cached = next(float(words[1]) for words in lines if words[0] == "inactive_file")
        yield limit - used + cached


def _limits() -> Iterator[float]:
    """What the limits of the process leave."""
    with contextlib.suppress(OSError, IndexError):
        pages = Path("/proc/self/statm").read_text().split()
        used = {resource.RLIMIT_AS: int(pages[0]), resource.RLIMIT_DATA: int(pages[5])}
        for kind, count in used.items():
            limit = resource.getrlimit(kind)[0]
            if limit != resource.RLIM_INFINITY:
                yield float(limit - count * os.sysconf("SC_PAGE_SIZE"))
