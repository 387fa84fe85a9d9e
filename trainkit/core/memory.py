"""How much memory programs can have on this machine."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_host_bytes"]

CGROUP = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
# The limit, what is used, and the name in memory.stat of what caches of files hold: versions 2 and 1.
GROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


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
    """What the limits of the control groups leave that this process is in; caches of files give way."""
    for folder in _groups():
        for limit, used, cached in GROUP_FILES:
            with contextlib.suppress(OSError, ValueError, StopIteration):
                most = float((folder / limit).read_text())  # "max" is no number
                lines = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
                free = next(float(words[1]) for words in lines if words[0] == cached)
                yield most - float((folder / used).read_text()) + free


def _groups() -> Iterator[Path]:
    """The folders of this process's control groups, from its own to the root; a container sees its own as the
    root."""
    with contextlib.suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root = CGROUP / "memory" if controllers else CGROUP
            own = root / path.lstrip("/")
            yield own
            yield from (parent for parent in own.parents if parent.is_relative_to(root))


def _limits() -> Iterator[float]:
    """What the limits of the process leave."""
    with contextlib.suppress(OSError, IndexError):
        pages = Path("/proc/self/statm").read_text().split()
        used = {resource.RLIMIT_AS: int(pages[0]), resource.RLIMIT_DATA: int(pages[5])}
        for kind, count in used.items():
            limit = resource.getrlimit(kind)[0]
            if limit != resource.RLIM_INFINITY:
                yield float(limit - count * os.sysconf("SC_PAGE_SIZE"))
