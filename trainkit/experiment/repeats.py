"""mode=fit over several folds or seeds: a run for each, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from trainkit.callbacks.progress import format_values
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job
from trainkit.runs.run_dir import RunDir

__all__ = ["Train", "repeat"]

Train = Callable[[Job], int]


def repeat(job: Job, train: Train, write: Callable[[str], None]) -> int:
    """Train once for each fold of `fit.cv` and each of `fit.seeds` seeds, each in a folder of its own.

    The folder of all of them gets `repeats.json`: the values of each run, their mean and their spread, which
    is the standard deviation of a sample.

    Args:
        job: What to train.
        train: Trains one job, and returns its exit code.
        write: Takes lines for standard output.

    Returns:
        The exit code: that of the first training that did not come to its end, else 0.

    Raises:
        UserError: for what is wrong before the first of them makes its folder.
    """
    if job.found is not None or job.path is None:
        raise UserError(
            "fit.cv and fit.seeds train anew: leave out resume=, or resume one of their runs, by its folder."
        )
    jobs = dict(_jobs(job, job.path))
    whole = RunDir(job.path)
    found: dict[str, Mapping[str, Any]] = {}
    for number, (name, one) in enumerate(jobs.items(), 1):
        write(f"\n[{number}/{len(jobs)}] {name}")
        code = train(one)
        if code:
            return code
        found[name] = _values(files.read_json(RunDir(whole.path / name).summary))
        mean, spread = _together(list(found.values()))
        files.write_json(whole.path / "repeats.json", {"runs": found, "mean": mean, "spread": spread})
    for name, text in job.files.items():
        files.write_text(whole.path / name, text)
    write("\n".join(["", *_table(found, mean, spread), f"Runs:      {whole.shown}"]))
    return 0


def _jobs(job: Job, folder: Path) -> Iterator[tuple[str, Job]]:
    """The jobs by the names of their folders: `fold-1`, `seed-7`, `fold-1-seed-7`."""
    if job.variant is None:
        raise ValueError("Several folds or seeds need variants.")
    config = job.config.fit
    folds: list[int | None] = [config.fold]
    if config.cv and not config.fold:
        folds = list(range(1, config.cv + 1))
    seeds = [job.config.trainer.seed + i for i in range(config.seeds or 1)]
    for fold in folds:
        for seed in seeds:
            # The settings of a run by itself, so that it can be resumed, evaluated and repeated.
            one = job.variant({"fit.fold": fold, "fit.seeds": None, "trainer.seed": seed})
            parts = [f"fold-{fold}"] if fold else []
            parts += [f"seed-{seed}"] if config.seeds else []
            name = "-".join(parts)
            yield name, replace(one, path=folder / name)


def _values(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that runs are compared by: the best monitored value, and the test results of that epoch."""
    best = summary.get("best") or {}
    test = best.get("test") or summary.get("test") or {}
    found = {f"best {summary.get('monitor')}": best.get("value")}
    found |= {f"test {name}": value for name, value in test.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _together(runs: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of each value."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
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
