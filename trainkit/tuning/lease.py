"""Who works on a trial: a lease that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from trainkit.core import files

__all__ = ["Lease", "LeaseKeeper"]

HEARTBEATS = 4  # per lease time
LOOKS = 3.0  # seconds between two looks at a lease, beyond which this process may have slept itself
RELEASED = 5.0  # seconds in which the lock of a killed process is free


class Lease:
    """A trial that this process works on.

    The file stays locked as long as the process lives, so that others on this machine see at once when it
    does not; for those on other machines, where locks may not reach, a thread writes a heartbeat.

    Args:
        path: The lease's file.
        file: The open and locked file.
        seconds: Silence after which other machines take the lease for abandoned.
    """

    def __init__(self, path: Path, file: IO[bytes], seconds: float) -> None:
        self.path = path
        self._file = file
        self._ended = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._keep, args=(seconds / HEARTBEATS,), daemon=True)
        self._thread.start()

    def release(self) -> None:
        """End the lease; another process may take the trial from now on."""
        self._ended.set()
        self._thread.join()
        self._file.seek(0)
        self._file.truncate()
        self._file.close()  # which unlocks it

    def _keep(self, every: float) -> None:
        while not self._ended.wait(every):
            self._beat()

    def _beat(self) -> None:
        content = {
            "owner": _this_machine(),
            "pid": os.getpid(),
            "time": files.now(),
            "beat": secrets.token_hex(8),
        }
        self._file.seek(0)
        self._file.write(json.dumps(content).encode())
        self._file.truncate()
        self._file.flush()


class LeaseKeeper:
    """Takes leases of trials that nobody works on.

    A process of the same command that lives but no longer answers, such as one that hangs in a driver, is
    killed: it could go on later, and two would work on a trial. One of another command is waited for.

    Args:
        seconds: Silence after which a lease of another machine is abandoned, and a process hangs.
        clock: Seconds; for tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.clock = clock
        self._seen: dict[Path, tuple[Any, float, float]] = {}

    def take(self, path: Path) -> Lease | None:
        """The lease with this file, if nobody holds it; None if somebody does, or may do."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        holder = _read(file)
        if not _lock(file) and not (self._hangs(path, holder) and _killed(holder["pid"], file)):
            file.close()
            return None
        holder = _read(file)
        if holder.get("owner") in (None, _this_machine()) or self._silent(path, holder):
            return Lease(path, file, self.seconds)
        file.close()
        return None

    def _hangs(self, path: Path, holder: dict[str, Any]) -> bool:
        """Whether the holder of a locked lease is a process of our command that no longer answers."""
        ours = holder.get("owner") == _this_machine() and _is_of_our_command(holder.get("pid"))
        return ours and self._silent(path, holder)

    def _silent(self, path: Path, holder: dict[str, Any]) -> bool:
        """Whether the heartbeat has not changed for so long, by this process's own clock; the time in which
        this process did not look, since it was stopped itself, does not count."""
        beat, now = holder.get("beat"), self.clock()
        before, since, looked = self._seen.get(path, (None, now, now))
        since += max(0.0, now - looked - max(LOOKS, self.seconds / HEARTBEATS))
        self._seen[path] = (beat, now if beat != before else since, now)
        return beat == before and now - since > self.seconds


def _lock(file: IO[bytes]) -> bool:
    """Lock a file, if no process that lives holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_of_our_command(pid: Any) -> bool:
    try:
        return isinstance(pid, int) and pid != os.getpid() and os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def _killed(pid: int, file: IO[bytes]) -> bool:
    """Kill the process that holds a lease, and lock it."""
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + RELEASED
    while time.monotonic() < end:
        if _lock(file):
            return True
        time.sleep(0.02)
    return False


def _read(file: IO[bytes]) -> dict[str, Any]:
    file.seek(0)
    try:
        content = json.loads(file.read() or b"{}")
    except ValueError:  # its writer was killed
        return {}
    return content if isinstance(content, dict) else {}


def _this_machine() -> str:
    """Name of this machine since it was started: a lock of before is none."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()} {boot.read_text().strip() if boot.is_file() else ''}".strip()
