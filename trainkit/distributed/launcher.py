"""`launch workers=2 task=mnist`: several workers on this machine, as a cluster starts them on several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from trainkit.core.errors import UserError
from trainkit.distributed import cluster

__all__ = ["launch", "workers_of"]

Process = subprocess.Popen[str]

SILENCE_SECONDS = 30.0  # after which the other workers notice that one is lost
GRACE_SECONDS = 15.0  # from then on, to save their state and end
KILL_SECONDS = 10.0  # between SIGTERM and SIGKILL
POLL_SECONDS = 0.1
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WRONG_USE = 2
STOPPED = (129, 130, 143)  # exit codes after a signal, which the user sent


def workers_of(words: Sequence[str]) -> tuple[int, list[str]]:
    """The number of workers that `workers=N` asks for, and the other words.

    Raises:
        UserError: without exactly one `workers=N`, or if N is not a whole number of at least 1.
    """
    given = [word.partition("=")[2] for word in words if word.startswith("workers=")]
    if len(given) != 1 or not given[0].isdigit() or int(given[0]) < 1:
        came = f"workers={given[-1]}" if given else "no workers="
        raise UserError(
            f"launch: expected workers=N with N of at least 1, got {came}; "
            "for example: python -m trainkit launch workers=2 task=mnist"
        )
    return int(given[0]), [word for word in words if not word.startswith("workers=")]


def launch(
    workers: int,
    words: Sequence[str],
    *,
    output: IO[str] | None = None,
    silence: float = SILENCE_SECONDS,
) -> int:
    """Start the workers, print their lines with their number before each, and end all when one fails.

    Signals are forwarded to all workers. After a failure the others have some time to notice and end; one
    that hangs is killed after it.

    Args:
        workers: How many to start.
        words: The command line of each.
        output: Where their lines go; default: stdout.
        silence: Seconds after which they notice that one of them is lost.

    Returns:
        0 if all ended well; of the first that did not, the exit code for wrong use or a signal, else 1.
    """
    out = output or sys.stdout
    addresses = [f"{cluster.LOCALHOST}:{port}" for port in _free_ports(workers)]
    command = [sys.executable, "-u", "-m", "trainkit", *words]
    with ExitStack() as stack:
        processes = []
        for index in range(workers):
            process = _start(command, addresses, index)
            stack.callback(process.kill)
            processes.append(process)
        stack.enter_context(_forwarding_signals(processes))
        readers = [_print_lines(process, out, f"[{i}] ") for i, process in enumerate(processes)]
        code = _wait(processes, out, silence + GRACE_SECONDS)
        for reader in readers:
            reader.join(5)
    return code


def _start(command: Sequence[str], addresses: list[str], index: int) -> Process:
    environment = {**os.environ, "TF_CONFIG": cluster.tf_config(addresses, index)}
    # A session of its own: Ctrl-C in the terminal reaches the workers only through this process, once.
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
            one.bind((cluster.LOCALHOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _print_lines(process: Process, out: IO[str], prefix: str) -> threading.Thread:
    """Print the lines of a process as they come, in a thread."""

    def read() -> None:
        for line in process.stdout or ():
            out.write(prefix + line)
            out.flush()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@contextmanager
def _forwarding_signals(processes: Sequence[Process]) -> Iterator[None]:
    """In the block, SIGINT, SIGTERM and SIGHUP go to the workers, which save their state and end."""

    def forward(number: int, frame: Any) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
        before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(processes: Sequence[Process], out: IO[str], grace: float) -> int:
    """Wait for all; after the first failure, end those that do not end by themselves in time."""
    failed = 0
    deadline = float("inf")
    asked: set[int] = set()
    while True:
        running = [process for process in processes if process.poll() is None]
        # Two may have ended since the last look: one that was killed (a negative code) made the other fail.
        ended = sorted((process.returncode, i) for i, process in enumerate(processes) if process.returncode)
        if ended and not failed:
            failed, worker = ended[0]
            # Wrong use is the same for all. A lost worker is noticed by the others, who say how to go on.
            deadline = time.monotonic() + (KILL_SECONDS if failed == WRONG_USE else grace)
            if failed not in STOPPED:
                out.write(f"trainkit: worker {worker} {_how_it_ended(failed)}; the others end too.\n")
        if not running:
            return failed if failed in (WRONG_USE, *STOPPED) else int(failed != 0)
        _end_late(running, time.monotonic() - deadline, asked)
        time.sleep(POLL_SECONDS)


def _how_it_ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end_late(running: Sequence[Process], late: float, asked: set[int]) -> None:
    """End workers that are `late` seconds over their time (negative: they still have some); each is asked
    once, since a second signal would end it without its state saved."""
    for process in running:
        if late > KILL_SECONDS:
            process.kill()
        elif late > 0 and process.pid not in asked:
            asked.add(process.pid)
            process.terminate()
