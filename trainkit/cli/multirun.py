"""The jobs of a multirun, one after the other in this process; what is missing of one can be run later."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from trainkit.cli import arguments
from trainkit.cli.arguments import Arguments
from trainkit.cli.commands import run
from trainkit.cli.launchers import Launcher
from trainkit.cli.planning import Plan
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.core.figures import NOTHING, number
from trainkit.core.words import command, override
from trainkit.experiment.job import Job
from trainkit.runs import run_dir
from trainkit.runs.run_dir import SEARCH, RunDir

__all__ = ["Multirun", "launch", "missing_of", "run_all", "run_missing"]

LIST = "jobs.json"  # marks a folder as a multirun
MULTIRUN = ("-m", "--multirun")
RESUME = "resume="


@dataclass(frozen=True)
class Multirun:
    """A multirun's folder and its list of jobs.

    Args:
        folder: Where the list is kept.
        flags: Flags of the command, which each job has too.
        entries: `overrides`, `run` and `exit` of each job; exit null: not run yet.
    """

    folder: Path
    flags: Sequence[str]
    entries: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Multirun:
        """The multirun that a folder holds."""
        content = files.read_json(folder / LIST)
        return cls(folder, content.get("flags", []), content.get("jobs", []))

    def write(self) -> None:
        """Write the list, so that a later command finds what is missing."""
        files.write_json(self.folder / LIST, {"flags": list(self.flags), "jobs": self.entries})

    def table(self) -> list[str]:
        """A line per job under a line of names: the overrides that differ, the best value and the run."""
        chosen = [dict(word.partition("=")[::2] for word in entry["overrides"]) for entry in self.entries]
        keys = list(dict.fromkeys(key for one in chosen for key in one))
        differ = [key for key in keys if len({one.get(key) for one in chosen}) > 1]
        summaries = [files.read_json(RunDir(Path(entry["run"])).summary) for entry in self.entries]
        monitors = dict.fromkeys(s["monitor"] for s in summaries if s.get("monitor"))
        heads = ["job", *differ, *(f"best {name}" for name in monitors), "exit", "run"]
        lines = [heads]
        for i, (entry, one, summary) in enumerate(zip(self.entries, chosen, summaries, strict=True), 1):
            value = (summary.get("best") or {}).get("value")
            best = [number(value) if summary.get("monitor") == name else NOTHING for name in monitors]
            code = NOTHING if entry["exit"] is None else str(entry["exit"])
            settings = [one.get(key, NOTHING) for key in differ]
            lines.append([str(i), *settings, *best, code, files.shown(entry["run"])])
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def missing_of(parsed: Arguments) -> tuple[Multirun, list[int], list[Arguments]] | None:
    """What `resume=<folder of a multirun>` asks for; None for any other command.

    Returns:
        The multirun, and the numbers and arguments of its jobs that did not end well.

    Raises:
        UserError: if nothing is missing.
    """
    named = [_text_of(word) for word in parsed.overrides if word.startswith(RESUME)]
    if not named or parsed.multirun or not Path(named[-1], LIST).is_file():
        return None
    multirun = Multirun.read(Path(named[-1]))
    more = [word for word in parsed.overrides if not word.startswith(RESUME)]
    numbers = [i for i, entry in enumerate(multirun.entries) if entry["exit"] != 0]
    if not numbers:
        raise UserError(
            f"{RESUME}{named[-1]}: all {len(multirun.entries)} jobs are done; nothing is missing."
        )
    found = []
    for i in numbers:
        entry = multirun.entries[i]
        begun = _begun(Path(entry["run"]), entry["exit"])
        found.append(arguments.parse([*multirun.flags, *entry["overrides"], *more, *begun]))
    return multirun, numbers, found


def _text_of(word: str) -> str:
    """The value of a word without its quotes; as it came, if Hydra cannot read it."""
    try:
        return str(OverridesParser.create().parse_override(word).value())
    except HydraException:
        return word.partition("=")[2]


def _begun(place: Path, code: int | None) -> list[str]:
    """The words by which a job goes on where it was; none if it begins anew."""
    if (place / SEARCH).is_file():
        return [] if code == 1 else [override("run_dir", str(place))]
    return [override("resume", str(place))] if run_dir.has_saved(place) else []


def run_all(jobs: Sequence[Job], overrides: Sequence[Sequence[str]], flags: Sequence[str]) -> int:
    """Run all jobs; a signal ends them all, a failure ends only its own.

    Args:
        jobs: The jobs.
        overrides: Those of each job.
        flags: The flags of the command.

    Returns:
        The largest exit code.

    Raises:
        UserError: if two jobs share a run directory.
    """
    _check_paths([job.path for job in jobs])
    kept = [flag for flag in flags if flag not in MULTIRUN]
    entries = [_entry(job, words) for job, words in zip(jobs, overrides, strict=True)]
    folder = run_dir.new_path(jobs[0].config.runs_dir, "multirun", None)
    return run_missing(Multirun(folder, kept, entries), range(len(jobs)), jobs)


def run_missing(multirun: Multirun, numbers: Sequence[int], jobs: Sequence[Job]) -> int:
    """Run some jobs of a multirun, and note how each ended.

    Args:
        multirun: Its list is written before a job trains and after it has ended, so that it is there whenever
            the process is killed; not if all jobs are refused.
        numbers: Places of the jobs in the list.
        jobs: The jobs.

    Returns:
        The largest exit code.
    """
    from trainkit.experiment.shared_programs import shared_programs

    _reserve_devices(jobs)
    codes = []
    with shared_programs():
        for i, job in zip(numbers, jobs, strict=True):
            entry = multirun.entries[i]
            entry["run"] = _entry(job, entry["overrides"])["run"]
            print(f"\n[{i + 1}/{len(multirun.entries)}] {' '.join(entry['overrides'])}", flush=True)
            codes.append(_run(replace(job, before_run=multirun.write)))
            # A signal while it was tested has let it come to its end.
            entry["exit"] = 0 if codes[-1] > 2 and _is_complete(entry) else codes[-1]
            if any(code != 2 for code in codes):  # something was made
                multirun.write()
            if codes[-1] > 2:
                break
    if any(code != 2 for code in codes):
        _print_results(multirun)
    return max(codes)


def launch(
    plans: Sequence[Plan], overrides: Sequence[Sequence[str]], flags: Sequence[str], by: Launcher
) -> int:
    """Run all jobs as processes of their own, which the launcher starts; they are checked here, before.

    Args:
        plans: The checked jobs.
        overrides: Those of each job.
        flags: The flags of the command.
        by: The launcher.

    Returns:
        The largest exit code.

    Raises:
        UserError: if two jobs share a run directory, or the launcher is not installed.
    """
    paths = [plan.path for plan in plans]
    if None in paths:
        raise UserError("hydra/launcher starts trainings and searches; other modes run without it.")
    _check_paths(paths)
    kept = [flag for flag in flags if flag not in MULTIRUN]
    entries: list[dict[str, Any]] = [
        {"overrides": list(words), "run": str(path), "exit": None}
        for path, words in zip(paths, overrides, strict=True)
    ]
    multirun = Multirun(run_dir.new_path(plans[0].config.runs_dir, "multirun", None), kept, entries)
    multirun.write()
    print(f"{len(plans)} jobs by {by.name}; what they print is in {files.shown(multirun.folder)}/job-*.log")
    commands = [
        ["-m", "trainkit", *kept, *one["overrides"], override("run_dir", one["run"])] for one in entries
    ]
    for entry, code in zip(entries, by.run(commands, multirun.folder), strict=True):
        entry["exit"] = code
    multirun.write()
    _print_results(multirun)
    return max(int(entry["exit"]) for entry in entries)


def _print_results(multirun: Multirun) -> None:
    entries = multirun.entries
    good = sum(entry["exit"] == 0 for entry in entries)
    folder = files.shown(multirun.folder)
    print("\n".join(["", *multirun.table()]))
    print(f"\n{good} of {len(entries)} jobs done; listed in {folder}/{LIST}")
    if good < len(entries):
        print(f"Run what is missing:  {command(resume=folder)}")


def _entry(job: Job, overrides: Sequence[str]) -> dict[str, Any]:
    place = job.path
    if place is None and job.found is not None:
        place = job.found.run.path if job.found.run is not None else job.found.checkpoint
    return {"overrides": list(overrides), "run": str(place), "exit": None}


def _is_complete(entry: Mapping[str, Any]) -> bool:
    """Whether the run of a job has come to its end."""
    return files.read_or_set_aside(RunDir(Path(entry["run"])).status).get("status") == "completed"


def _run(job: Job) -> int:
    try:
        return run(job)
    except UserError as error:
        print(f"trainkit: {one_line(str(error))}", file=sys.stderr)
        return 2


def _check_paths(given: Sequence[Path | None]) -> None:
    paths = [path for path in given if path is not None]
    if len(set(paths)) < len(paths):
        raise UserError(
            f"run_dir={paths[0]} would be the folder of {len(paths)} runs; "
            "leave it out with -m, so that each gets its own."
        )


def _reserve_devices(jobs: Sequence[Job]) -> None:
    """Make the logical CPU devices of all jobs: TensorFlow fixes their number at its first use."""
    from trainkit.backend import devices

    devices.logical_cpus(max(job.config.trainer.replicas or 1 for job in jobs))
