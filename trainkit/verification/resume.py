"""Is a training that is killed and resumed the same training? Proved on the user's own task."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.checkpoint.members import META, read_meta
from trainkit.core.errors import UserError
from trainkit.runs.run_dir import RunDir
from trainkit.verification.attempts import Attempt
from trainkit.verification.run_differences import run_differences

__all__ = ["Kill", "ResumeReport", "log_of", "verify_resume"]

ADVICE = "let data(), model() and callbacks draw the same each time, by fixed seeds"
# Shares of the kills that come before a random operation on the disk, which hardly take any time, and at a
# random moment after a save; the others come at any moment since the start, which takes longest of all.
WRITES_SHARE = 0.3
SAVES_SHARE = 0.4
POLL_SECONDS = 0.01

Start = Callable[[Path, int], Attempt]


@dataclass(frozen=True)
class Kill:
    """One kill.

    Args:
        round: Number of the training, from 1.
        seconds: After which the process was gone.
        stood: Where the run stood, as it says itself: `nothing saved`, or a step.
        at_write: Whether it came before an operation on the disk.
    """

    round: int
    seconds: float
    stood: str
    at_write: bool


@dataclass
class ResumeReport:
    """What was found.

    Args:
        whole_seconds: Seconds of the training that was not killed.
        seconds: Of everything.
        rounds: Trainings that were killed, resumed and came to their end.
        kills: All kills.
        differences: First difference of each file, by round; empty if all are equal.
        unkilled: Where they differ, those of two trainings that were not killed.
    """

    whole_seconds: float = 0.0
    seconds: float = 0.0
    rounds: int = 0
    kills: list[Kill] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    unkilled: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all are equal."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """For `verify_resume.json`."""
        return {**asdict(self), "passed": self.passed}

    def lines(self) -> list[str]:
        """For people."""
        saved = sum(kill.stood != "nothing saved" for kill in self.kills)
        writes = sum(kill.at_write for kill in self.kills)
        lines = [
            f"Kills:     {len(self.kills)}, {saved} of them after the first save, {writes} before a write",
            f"Trainings: {self.rounds} killed and resumed, against one that was not, of "
            f"{self.whole_seconds:.1f} s; {self.seconds:.0f} s in all",
        ]
        if self.passed:
            return [*lines, "Equal:     weights, slots, seeds, callbacks, metrics.csv, summary.json, best"]
        lines += [f"Differs:   {difference}" for difference in self.differences]
        if self.unkilled:
            cause = f"not the kills: two trainings that were not killed differ, too: {self.unkilled[0]}"
            lines.append(f"Cause:     {cause}; {ADVICE}.")
        return lines


def verify_resume(start: Start, folder: Path, *, kills: int, seed: int) -> ResumeReport:
    """Train once without a kill, then with kills, resumed after each of them, and compare bit for bit.

    A training that comes to its end before its next kill is compared, and another one begun, until all kills
    are done. Where one differs, a last one that is not killed tells whether that is due to the kills.

    Args:
        start: Starts an attempt to train in a run directory: anew, or from what is saved there. Its second
            argument: the operations on the disk before which the process kills itself; 0: it does not.
        folder: Where the runs go: `whole`, `killed-1` and so on, and `again`.
        kills: How many.
        seed: Of the moments.

    Raises:
        UserError: if an attempt fails by itself.
    """
    report = ResumeReport()
    begin = time.perf_counter()
    whole = folder / "whole"
    attempt = start(whole, 0)
    _wait_for_save(attempt, whole)
    starting = time.perf_counter() - begin
    _run_to_end(attempt, whole)
    report.whole_seconds = time.perf_counter() - begin
    moments = _moments(seed, starting, report.whole_seconds)
    while len(report.kills) < kills:
        report.rounds += 1
        run = folder / f"killed-{report.rounds}"
        _kill_and_resume(start, run, kills, moments, report)
        found = run_differences(whole, run)
        report.differences += [f"{run.name}: {difference}" for difference in found]
        if found:
            again = folder / "again"
            _run_to_end(start(again, 0), again)
            table = RunDir(again).metrics.name  # which tells the epoch
            report.unkilled = sorted(
                run_differences(whole, again), key=lambda text: not text.startswith(table)
            )
            break
        shutil.rmtree(run)
    report.seconds = time.perf_counter() - begin
    return report


def _kill_and_resume(
    start: Start, run: Path, kills: int, moments: Iterator[_Moment], report: ResumeReport
) -> None:
    """One training, killed at most `kills` times in all trainings, and resumed until it is done."""
    while len(report.kills) < kills:
        moment = next(moments)
        begin = time.perf_counter()
        attempt = start(run, moment.writes)
        code = _wait_for_save(attempt, run) if moment.after_save else None
        if code is None:
            code = attempt.wait(moment.seconds)
        if code is None:
            attempt.kill(moment.chosen)
        elif code >= 0:
            _must_be_done(code, run)
            return
        stood = _stands(run)
        report.kills.append(Kill(report.rounds, time.perf_counter() - begin, stood, code is not None))
    _run_to_end(start(run, 0), run)


@dataclass(frozen=True)
class _Moment:
    """When to kill.

    Args:
        seconds: After the start, or after a save.
        after_save: Whether to wait until this attempt has saved something.
        writes: The operation on the disk before which it comes; 0: none.
        chosen: Which worker.
    """

    seconds: float
    chosen: float
    after_save: bool = False
    writes: int = 0


def _moments(seed: int, starting: float, whole: float) -> Iterator[_Moment]:
    """Random moments of a training that saves first after `starting` seconds, and ends after `whole`."""
    random = np.random.default_rng(seed)
    while True:
        share, chosen = random.random(), float(random.random())
        if share < WRITES_SHARE:
            yield _Moment(10 * whole, chosen, writes=int(random.integers(1, 60)))
        elif share < WRITES_SHARE + SAVES_SHARE:
            yield _Moment(float(random.uniform(0, whole - starting) / 2), chosen, after_save=True)
        else:
            yield _Moment(float(random.uniform(0, whole)), chosen)


def _wait_for_save(attempt: Attempt, run: Path) -> int | None:
    """Wait until the attempt has saved something; its exit code if it ends before."""
    before = _saved_at(run)
    code = attempt.wait(POLL_SECONDS)
    while code is None and _saved_at(run) == before:
        code = attempt.wait(POLL_SECONDS)
    return code


def _saved_at(run: Path) -> int:
    try:
        return (RunDir(run).last / META).stat().st_mtime_ns
    except OSError:
        return 0


def _run_to_end(attempt: Attempt, run: Path) -> None:
    code = attempt.wait(float("inf"))
    _must_be_done(1 if code is None else code, run)


def _must_be_done(code: int, run: Path) -> None:
    if code != 0:
        raise UserError(
            f"A training in {run} ended by itself with exit code {code}; its output is in {log_of(run)}."
        )


def log_of(run: Path) -> Path:
    """Where the output of the attempts in a run directory goes."""
    return run.with_name(f"{run.name}.log")


def _stands(run: Path) -> str:
    try:
        return f"step {read_meta(RunDir(run).last)['position']['step']}"
    except UserError:
        return "nothing saved"
