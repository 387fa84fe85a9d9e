"""mode=fit over several folds or seeds: a run for each, and what they have in common."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from trainkit.backend.compat.names import same_names
from trainkit.callbacks.progress import format_values
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.core.held import FolderMoved
from trainkit.experiment.job import Job
from trainkit.experiment.shared_programs import shared_programs
from trainkit.experiment.undamaged import undamaged
from trainkit.runs import locate, run_dir
from trainkit.runs.lock import locked
from trainkit.runs.moved import what_is_left
from trainkit.runs.run_dir import CHECKPOINT, CONFIG, REPEATS, RunDir

__all__ = ["Train", "note_alone", "repeat"]

Train = Callable[[Job], int]
Write = Callable[[str], None]


@same_names()
def repeat(job: Job, train: Train, write: Write, write_error: Write) -> int:
    """Train once for each fold of `fit.cv` and each of `fit.seeds` seeds, each in a folder of its own.

    The folder of all of them gets `repeats.json`: how many of them are done, the values of each, their mean
    and their spread, which is the standard deviation of a sample. A folder that has one is continued: runs
    that are done stay, one that was stopped is resumed. A signal ends them all, a failure ends only its own.

    Args:
        job: What to train.
        train: Trains one job, and returns its exit code.
        write: Takes lines for standard output.
        write_error: Takes lines for standard error.

    Returns:
        The largest exit code.

    Raises:
        UserError: for what is wrong before the first of them makes its folder.
    """
    if job.found is not None or job.path is None:
        raise UserError(
            "fit.cv and fit.seeds train anew, without workers: leave out resume=, or name the folder of all "
            "their runs."
        )
    jobs = dict(_jobs(job, job.path))
    whole = _Whole(job, RunDir(job.path), dict.fromkeys(jobs))
    with ExitStack() as held:
        held.enter_context(shared_programs())
        begin = partial(whole.begin, held)
        if whole.exists:
            whole.check()
            begin()
        code = 0
        try:
            for number, (name, one) in enumerate(jobs.items(), 1):
                write(f"\n[{number}/{len(jobs)}] {name}")
                if _is_done(one):
                    write(f"Done before: {RunDir(_path(one)).shown}")
                    code = 0
                else:
                    code = _train(replace(one, before_run=begin), train, whole, write_error)
                # A signal while it was tested has let it come to its end.
                whole.note(name, 0 if code > 2 and _is_done(one) else code)
                if code > 2:
                    break
        except FolderMoved as moved:
            write_error(f"trainkit: {moved} {what_is_left(moved, job.command)}")
            return max(code, 1)
        except BaseException:
            if whole.exists:
                write(f"Continue:  {whole.command()}")
            raise
        for name, one in jobs.items():  # by another process meanwhile, which cannot note it
            if whole.exits[name] != 0 and _is_done(one):
                whole.note(name, 0)
    write("\n".join(whole.closing_lines()))
    return max(code, *(code for code in whole.exits.values() if code is not None))


def note_alone(run: RunDir, code: int) -> None:
    """Bring `repeats.json` up to date after one of several runs was resumed by itself; who trains all of them
    meanwhile notes it.

    Args:
        run: The run.
        code: How it ended.
    """
    folder, name = run.path.parent, run.path.name
    with suppress(UserError, OSError):  # a file that somebody else has named so is left alone
        if not _tells_of(name, files.read_json(folder / REPEATS)):
            return
        with locked(folder):
            known = files.read_json(folder / REPEATS)
            # A signal while it was tested has let it come to its end.
            done = files.read_json(run.status).get("status") == "completed"
            exits = {**known["exits"], name: 0 if done else code}
            values = {**known["runs"], name: _values(files.read_json(run.summary))}
            found = {one: values[one] for one, ended in exits.items() if ended == 0 and one in values}
            _write(folder, exits, found, known.get("cv"))


def _tells_of(name: str, known: Mapping[str, Any]) -> bool:
    """Whether this is what `repeats.json` holds, with a run of that name."""
    exits, runs = known.get("exits"), known.get("runs")
    return isinstance(exits, dict) and isinstance(runs, dict) and name in exits


def _write(
    folder: Path, exits: Mapping[str, int | None], found: Mapping[str, Mapping[str, float]], cv: int | None
) -> None:
    """Write `repeats.json`."""
    mean, spread = _together(list(found.values()))
    counts = {"done": len(found), "of": len(exits), "cv": cv, "exits": exits}
    files.write_json(folder / REPEATS, {**counts, "runs": found, "mean": mean, "spread": spread})


def _train(job: Job, train: Train, whole: _Whole, write_error: Write) -> int:
    """Train one of them. Before the first has made its folder, an error is one of all."""
    path = _path(job)
    if job.found is None and path.exists():  # it ended before it had saved anything
        shutil.rmtree(path)
    try:
        return train(job)
    except UserError as error:
        if not whole.exists:
            raise
        write_error(f"trainkit: {one_line(str(error))}")
        return 2


@dataclass
class _Whole:
    """The folder of all runs.

    Args:
        job: What they have in common.
        folder: The folder.
        exits: The exit code of each run by its name; None: not trained yet.
    """

    job: Job
    folder: RunDir
    exits: dict[str, int | None]
    found: dict[str, Mapping[str, float]] = field(default_factory=dict)
    begun: bool = False

    @property
    def file(self) -> Path:
        """What is known of all runs."""
        return self.folder.path / REPEATS

    @property
    def exists(self) -> bool:
        """Whether the folder is there."""
        return self.file.is_file()

    def check(self) -> None:
        """Refuse settings that ask for other runs than those that are there.

        Raises:
            UserError: naming the setting.
        """
        known = files.read_json(self.file)
        cv = self.job.config.fit.cv
        if known.get("cv", cv) != cv or not set(known.get("exits", ())) <= set(self.exits):
            raise UserError(
                f"{self.folder.shown} holds {', '.join(known.get('exits', ()))}, and these settings ask for "
                "other runs; leave out fit.cv, fit.fold and trainer.seed, and fit.seeds if it asks for fewer."
            )

    def begin(self, held: ExitStack) -> None:
        """Make the folder, or take the one that is there; no other process writes it until `held` ends."""
        if self.begun:
            return
        job, path = self.job, self.folder.path
        if job.before_run is not None:
            job.before_run()
        if not self.exists:
            run_dir.create(path, job.config.runs_dir, job.config.name)
        held.enter_context(locked(path))
        for name, text in job.files.items():
            files.write_text(path / name, text)
        if not self.folder.manifest.is_file():
            about = {"created": files.now(), "argv": list(job.argv), "config_dir": job.config_dir}
            files.write_json(self.folder.manifest, about)
        self.begun = True
        self.write()

    def note(self, name: str, code: int) -> None:
        """Note how a run ended."""
        self.exits[name] = code
        if code == 0:
            found = {**self.found, name: _values(files.read_json(RunDir(self.folder.path / name).summary))}
            self.found = {one: found[one] for one in self.exits if one in found}
        self.write()

    def write(self) -> None:
        """Write what is known of all runs."""
        _write(self.folder.path, self.exits, self.found, self.job.config.fit.cv)

    def command(self) -> str:
        """The command that continues them."""
        return self.job.command(resume=self.folder.shown)

    def closing_lines(self) -> list[str]:
        """Their table, where they are, and how to go on if any is missing."""
        lines = ["", *(_table(self.found, *_together(list(self.found.values()))) if self.found else [])]
        failed = sum(code in (1, 2) for code in self.exits.values())
        counts = f"{len(self.found)}/{len(self.exits)} runs done" + (f", {failed} failed" if failed else "")
        lines.append(f"Runs:      {self.folder.shown} ({counts})")
        if len(self.found) < len(self.exits):
            lines.append(f"Continue:  {self.command()}")
        return lines


def _jobs(job: Job, folder: Path) -> Iterator[tuple[str, Job]]:
    """The jobs by the names of their folders: `fold-1`, `seed-7`, `fold-1-seed-7`; those that have saved
    something go on from there."""
    if job.variant is None:
        raise ValueError("Several folds or seeds need variants.")
    config = job.config.fit
    folds: list[int | None] = [config.fold]
    if config.cv and not config.fold:
        folds = list(range(1, config.cv + 1))
    seeds = [job.config.trainer.seed + i for i in range(config.seeds or 1)]
    for fold in folds:
        for seed in seeds:
            parts = [f"fold-{fold}"] if fold else []
            parts += [f"seed-{seed}"] if config.seeds else []
            path = folder / "-".join(parts)
            found = None
            if any(RunDir(path).checkpoints.glob(f"*/{CHECKPOINT}")):
                found = locate.locate(str(path), runs_dir="", name=None, run_dir=None, prefer=("last",))
                found = undamaged(found)
            # The settings of a run by itself, so that it can be resumed, evaluated and repeated.
            one = job.variant({"fit.fold": fold, "fit.seeds": None, "trainer.seed": seed}, found)
            yield path.name, replace(one, path=path)


def _is_done(job: Job) -> bool:
    """Whether a run has come to its end, by these settings; by others, it may have more to do."""
    run = RunDir(_path(job))
    if files.read_or_set_aside(run.status).get("status") != "completed":
        return False
    return job.found is None or run.config.read_text(encoding="utf-8") == job.files[CONFIG]


def _path(job: Job) -> Path:
    if job.path is None:
        raise ValueError("A run of several has a path.")
    return job.path


def _values(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that runs are compared by: the best monitored value, and the test results of that epoch."""
    best = summary.get("best") or {}
    test = best.get("test") or summary.get("test") or {}
    found = {f"best {summary.get('monitor')}": best.get("value")}
    found |= {f"test {name}": value for name, value in test.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _together(runs: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of each value."""
    names = [name for name in (runs[0] if runs else ()) if all(name in run for run in runs)]
    columns = {name: [run[name] for run in runs] for name in names}
    mean = {name: fmean(values) for name, values in columns.items()}
    spread = {name: stdev(values) if len(values) > 1 else 0.0 for name, values in columns.items()}
    return mean, spread


def _table(
    found: Mapping[str, Mapping[str, float]], mean: Mapping[str, float], spread: Mapping[str, float]
) -> list[str]:
    width = max(len(name) for name in (*found, "spread")) + 2
    rows = {**found, "mean": mean, "spread": spread}
    return [f"{name:<{width}}{format_values(values)}" for name, values in rows.items()]
