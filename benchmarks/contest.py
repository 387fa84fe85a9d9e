"""Contenders in processes of their own, one of which works at a time, and the rounds in which they meet."""

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
# A variant that is so many times slower than its contender's best when it is tried first is not tried again.
WORTH_ROUNDS = 1.5
# Variants that are measured in all rounds, however slow.
ALWAYS = ("default", "auto", "command, default callbacks")


class Failed(Exception):
    """A contender broke; the message is the end of what it wrote on stderr."""


class Process:
    """A contender at work, which answers one request at a time.

    Args:
        name: Of the contender.
        workload: What it trains.
        threads: That it may use.
    """

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
        contender: Its name.
        variant: The way in which it trains.
        status: `measured`; `slower`: tried once and left out; `missing`: not installed; `failed`.
        note: What it chose by itself, or why it was not measured.
        epochs: Of a measured run.
        compile_seconds: Until it was ready to train.
        screened: Steps per second of the first try.
        runs: The measured runs, one per round.
        steps_per_second: Of each of them.
    """

    contender: str
    variant: str
    status: str = "measured"
    note: str = ""
    epochs: int = 0
    compile_seconds: float = 0.0
    screened: float | None = None
    runs: list[Run] = field(default_factory=list)
    steps_per_second: list[float] = field(default_factory=list)


def run_contest(
    workload: Workload, names: Sequence[str], rounds: int, threads: int, write: Callable[[str], None]
) -> tuple[list[Entry], dict[str, Any]]:
    """Measure a workload: each contender tries its variants, then all that are worth it meet in rounds.

    Args:
        workload: What to train.
        names: Of the contenders.
        rounds: Measured runs of each variant.
        threads: That each contender may use.
        write: Is told how far the contest is.

    Returns:
        The entries, and the sizes of the workload with the data set that was really used.
    """
    entries: list[Entry] = []
    about: dict[str, Any] = {}
    processes: dict[str, Process] = {}
    with ExitStack() as stack:
        for name in names:
            write(f"  {name}: preparing")
            processes[name] = stack.enter_context(Process(name, workload, threads))
            entries += _prepared(name, processes[name], workload, about)
        for index in range(rounds):
            entrants = [entry for entry in entries if entry.status == "measured"]
            turn = index % max(1, len(entrants))
            for entry in entrants[turn:] + entrants[:turn]:
                _measure(entry, processes[entry.contender], about["steps"], seed=index + 1)
            write(f"  round {index + 1} of {rounds} done")
    return entries, about


def _prepared(name: str, process: Process, workload: Workload, about: dict[str, Any]) -> list[Entry]:
    """All variants of a contender, compiled and tried once."""
    try:
        answer = process.ask("variants")
    except Failed as error:
        return [Entry(name, "", "failed", str(error))]
    if "missing" in answer:
        remedy = "pip install 'trainkit[bench]'"
        return [Entry(name, "", "missing", f"{answer['missing']} is not installed: {remedy}")]
    about.update({key: answer[key] for key in ("steps", "rows", "source")})
    epochs = workload.long_epochs if answer["long"] and workload.long_epochs else workload.epochs
    entries = [Entry(name, variant, epochs=epochs) for variant in answer["variants"]]
    for entry in entries:
        try:
            entry.compile_seconds = process.ask("prepare", variant=entry.variant)["compile_seconds"]
            run = Run(**process.ask("run", variant=entry.variant, epochs=workload.screen_epochs, seed=0))
        except Failed as error:
            entry.status = "failed"
            entry.note = str(error)
            return entries[: entries.index(entry) + 1]  # the process is gone, and its other variants with it
        entry.screened = about["steps"] * workload.screen_epochs / run.seconds
    best = max(entry.screened or 0.0 for entry in entries)
    for entry in entries:
        if (entry.screened or 0.0) * WORTH_ROUNDS < best and entry.variant not in ALWAYS:
            times = best / (entry.screened or 1.0)
            entry.status = "slower"
            entry.note = f"{times:.1f}x slower than this contender's best at the first try"
    return entries


def _measure(entry: Entry, process: Process, steps: int, seed: int) -> None:
    try:
        run = Run(**process.ask("run", variant=entry.variant, epochs=entry.epochs, seed=seed))
    except Failed as error:
        entry.status = "failed"
        entry.note = str(error)
        return
    entry.runs.append(run)
    entry.steps_per_second.append(steps * entry.epochs / run.seconds)
    entry.note = run.note
    if run.compile_seconds is not None:
        entry.compile_seconds = run.compile_seconds
