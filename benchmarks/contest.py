"""Contenders in processes of their own, of which one works at a time, and the rounds in which they meet."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any

from benchmarks.session import Run
from benchmarks.workloads import Workload

TIMEOUT = 600.0  # seconds that a contender may take to answer
WORTH_ROUNDS = (
    1.5  # a variant so many times slower than its contender's best, when tried first, is not tried again
)
ALWAYS = (
    "default",
    "auto",
    "command, default callbacks",
)  # variants that are measured in all rounds, however slow


class Failed(Exception):
    """A contender broke; the message is the end of what it wrote on stderr."""


class Process:
    """A contender at work: answers one request at a time."""

    def __init__(self, name: str, workload: Workload, threads: int) -> None:
        self.workload = workload
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        count = str(threads)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
        equal = {
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "TF_NUM_INTRAOP_THREADS": count,
            "TF_NUM_INTEROP_THREADS": count,
            "NPROC": count,
        }
        self.child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, **quiet, **equal},
        )
        # Both are there: they were asked for as pipes.
        self.requests: IO[bytes] = self.child.stdin  # type: ignore[assignment]
        self.answers: IO[bytes] = self.child.stdout  # type: ignore[assignment]

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.child.kill()
        self.child.wait()
        self.requests.close()
        self.answers.close()
        self.errors.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            Failed: if the process ends, or does not answer in time.
        """
        line = json.dumps({"do": do, "workload": self.workload.name, **request}) + "\n"
        try:
            self.requests.write(line.encode())
            self.requests.flush()
        except BrokenPipeError as error:
            raise Failed(self._last_words()) from error
        if not select.select([self.answers], [], [], TIMEOUT)[0]:
            raise Failed(f"no answer to {do} within {TIMEOUT:.0f} s")
        answer = self.answers.readline()
        if not answer:
            raise Failed(self._last_words())
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def _last_words(self) -> str:
        self.child.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with {self.child.returncode}"


@dataclass
class Entry:
    """One variant of one contender in one row.

    Args:
        status: `measured`; `slower`: tried once and left out; `missing`: its framework is not installed; `failed`.
    """

    contender: str
    variant: str
    status: str = "measured"
    note: str = ""
    epochs: int = 0
    compile_seconds: float = 0.0
    screened: float | None = None  # steps/s of the first try
    runs: list[Run] = field(default_factory=list)
    steps_per_second: list[float] = field(default_factory=list)


def hold(
    workload: Workload, names: Sequence[str], rounds: int, threads: int, tell: Callable[[str], None]
) -> tuple[list[Entry], dict[str, Any]]:
    """Measure a workload: each contender prepares and tries its variants, then all that are worth it meet in `rounds` rounds, in turns.

    Returns:
        The entries, and the sizes of the workload with the data set that was really used.
    """
    entries: list[Entry] = []
    about: dict[str, Any] = {}
    processes: dict[str, Process] = {}
    with ExitStack() as stack:
        for name in names:
            tell(f"  {name}: preparing")
            processes[name] = stack.enter_context(Process(name, workload, threads))
            entries += _prepared(name, processes[name], workload, about)
        for index in range(rounds):
            entrants = [entry for entry in entries if entry.status == "measured"]
            turn = index % max(1, len(entrants))
            for entry in entrants[turn:] + entrants[:turn]:
                _measure(entry, processes[entry.contender], about["steps"], seed=index + 1)
            tell(f"  round {index + 1} of {rounds} done")
    return entries, about


def _prepared(name: str, process: Process, workload: Workload, about: dict[str, Any]) -> list[Entry]:
    """All variants of a contender, compiled and tried once."""
    try:
        answer = process.ask("variants")
    except Failed as error:
        return [Entry(name, "", "failed", str(error))]
    if "missing" in answer:
        return [
            Entry(name, "", "missing", f"{answer['missing']} is not installed: pip install 'trainkit[bench]'")
        ]
    about.update({key: answer[key] for key in ("steps", "rows", "source")})
    epochs = workload.long_epochs if answer["long"] and workload.long_epochs else workload.epochs
    entries = [Entry(name, variant, epochs=epochs) for variant in answer["variants"]]
    for entry in entries:
        try:
            entry.compile_seconds = process.ask("prepare", variant=entry.variant)["compile_seconds"]
            run = Run(**process.ask("run", variant=entry.variant, epochs=workload.screen_epochs, seed=0))
        except Failed as error:
            entry.status, entry.note = "failed", str(error)
            return entries[: entries.index(entry) + 1]  # the process is gone, and its other variants with it
        entry.screened = about["steps"] * workload.screen_epochs / run.seconds
    best = max(entry.screened or 0.0 for entry in entries)
    for entry in entries:
        if (entry.screened or 0.0) * WORTH_ROUNDS < best and entry.variant not in ALWAYS:
            entry.status, entry.note = (
                "slower",
                f"{best / (entry.screened or 1.0):.1f}x slower than this contender's best at the first try",
            )
    return entries


def _measure(entry: Entry, process: Process, steps: int, seed: int) -> None:
    try:
        run = Run(**process.ask("run", variant=entry.variant, epochs=entry.epochs, seed=seed))
    except Failed as error:
        entry.status, entry.note = "failed", str(error)
        return
    entry.runs.append(run)
    entry.steps_per_second.append(steps * entry.epochs / run.seconds)
    entry.note = run.note
    if run.compile_seconds is not None:
        entry.compile_seconds = run.compile_seconds
