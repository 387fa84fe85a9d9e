"""`python -m trainkit launch workers=2 task=mnist`: several workers on this machine, as a cluster would start them on several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO, Any

from trainkit.core.errors import UserError
from trainkit.distributed import cluster

GRACE_SECONDS = 45.0  # for the others to end by themselves, with their state saved, after one has failed


KILL_SECONDS = 10.0  # between the demand to end and the end


def workers_of(words: Sequence[str]) -> tuple[int, list[str]]:
    """The number of workers that `workers=N` asks for, and the other words.

    Raises:
        UserError: without it, or for what is no number of at least 1.
    """
    given = [word.partition("=")[2] for word in words if word.startswith("workers=")]
    if len(given) != 1 or not given[0].isdigit() or int(given[0]) < 1:
        came = f"workers={given[-1]}" if given else "no workers="
        raise UserError(
            f"launch: expected workers=N with N of at least 1, got {came}; for example: python -m trainkit launch workers=2 task=mnist"
        )
    return int(given[0]), [word for word in words if not word.startswith("workers=")]


def launch(workers: int, words: Sequence[str], *, output: IO[str] | None = None) -> int:
    """Start the workers, pass on what they print with their number before it, and end them all when one fails.

    A signal is passed on to all. After a failure the others have `GRACE_SECONDS` to notice it and to end by themselves.

    Returns:
        0 if all ended well, else the exit code of the first that did not; 1 for one that was killed.
    """
    out = output or sys.stdout
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    command = [sys.executable, "-u", "-m", "trainkit", *words]
    with ExitStack() as stack:
        started = [_start(command, addresses, i) for i in range(workers)]
        for process in started:
            stack.callback(process.kill)
        stack.enter_context(_passing_on(started))
        readers = [
            threading.Thread(target=_prefix, args=(process.stdout, out, f"[{i}] "), daemon=True)
            for i, process in enumerate(started)
        ]
        for reader in readers:
            reader.start()
        code = _wait(started, out)
        for reader in readers:
            reader.join(5)
    return code


def _start(command: Sequence[str], addresses: list[str], index: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CONFIG": cluster.tf_config(addresses, index)}
    # A session of its own: a Ctrl-C of the terminal reaches the workers through us alone, once.
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _prefix(source: Any, out: IO[str], prefix: str) -> None:
    for line in source:
        out.write(prefix + line)
        out.flush()


class _passing_on:
    """In the block, Ctrl-C and SIGTERM go to the workers, which save their state and end."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self.processes = processes
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._pass) for number in (signal.SIGINT, signal.SIGTERM)
            }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass(self, number: int, frame: Any) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)


def _wait(processes: Sequence[subprocess.Popen[str]], out: IO[str]) -> int:
    """Wait for all; end those that do not end by themselves in time after the first failure."""
    deadline, failed = float("inf"), 0
    while True:
        running = [process for process in processes if process.poll() is None]
        # Two may have ended since the last look: one that was killed is why the other failed.
        ended = sorted((process.returncode, i) for i, process in enumerate(processes) if process.returncode)
        if ended and not failed:
            failed, worker = ended[0]
            # An error of use is the same for all; a lost worker is noticed by the others, who then say how to go on.
            deadline = time.monotonic() + (KILL_SECONDS if failed == 2 else GRACE_SECONDS)
            how = (
                f"was killed by {signal.Signals(-failed).name}"
                if failed < 0
                else f"ended with exit code {failed}"
            )
            if failed not in (130, 143):
                out.write(f"trainkit: worker {worker} {how}; the others end too.\n")
        if not running:
            return failed if failed >= 0 else 1
        if time.monotonic() > deadline:
            for process in running:
                process.terminate() if time.monotonic() < deadline + KILL_SECONDS else process.kill()
        time.sleep(0.1)
