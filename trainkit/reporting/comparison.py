"""Several runs side by side: what differs between them, and their results in one table."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.figures import NOTHING, number
from trainkit.reporting.run_data import RunData

__all__ = ["Compared", "Row", "column_names", "differences", "rows_of", "seed_groups", "sorted_rows"]

# What says where a run lies or how it was watched, and not what was trained.
NOT_THE_TRAINING = (
    "callbacks.csv",
    "callbacks.plots",
    "callbacks.report",
    "callbacks.tensorboard.",
    "callbacks.tracker.",
    "compare.",
    "compile_cache",
    "data.dir",
    "export.",
    "find_lr.",
    "fit.",
    "mode",
    "name",
    "parity.",
    "predict.",
    "progress",
    "resume",
    "run_dir",
    "runs_dir",
    "task.dir",
    "tune.",
)
SEEDS = ("trainer.seed", "data.seed", "task.seed")
FOLDS = "fit.cv"
FOLD = "fit.fold"
MAX_APART = 3  # settings that tell a group of runs from others


@dataclass(frozen=True)
class Compared:
    """A run, and its settings by dotted key."""

    data: RunData
    settings: Mapping[str, Any] = field(default_factory=dict)

    def training(self, *, seeds: bool = True) -> dict[str, Any]:
        """The settings that change what is trained; with or without the seeds."""
        return {
            key: value
            for key, value in self.settings.items()
            if not (key + ".").startswith(tuple(f"{n.rstrip('.')}." for n in NOT_THE_TRAINING))
            and (seeds or key not in SEEDS)
        }


@dataclass(frozen=True)
class Row:
    """One run as a line of a table: values by the names of columns."""

    run: Compared
    values: Mapping[str, Any]


def differences(runs: Sequence[Compared]) -> list[str]:
    """The settings in which runs differ, in the order of the settings.

    `task.seed` and the like are left out where they only repeat `data.seed`.
    """
    keys = list(dict.fromkeys(key for run in runs for key in run.training()))
    found = []
    columns: set[tuple[str, ...]] = set()
    for key in sorted(keys, key=lambda key: key.startswith("task.")):
        column = tuple(str(run.training().get(key, NOTHING)) for run in runs)
        if len(set(column)) > 1 and not (key.startswith("task.") and column in columns):
            columns.add(column)
            found.append(key)
    return found


def rows_of(runs: Sequence[Compared]) -> list[Row]:
    """A row for each run: what it is, its results, its speed, and the settings that differ."""
    keys = differences(runs)
    return [
        Row(run, {**_results(run.data), "run": name, **{key: run.settings.get(key) for key in keys}})
        for run, name in zip(runs, _names(runs), strict=True)
    ]


def _names(runs: Sequence[Compared]) -> list[str]:
    """The names of the directories, with as many folders before those of one folder as tell them from others:
    each folder of `fit.cv` has a `fold-1`."""
    places = [run.data.run.path.absolute() for run in runs]
    lengths = dict.fromkeys((place.parent for place in places), 1)
    while True:
        names = {place: Path(*place.parts[-lengths[place.parent] :]).as_posix() for place in places}
        counts = Counter(names.values())
        clashing = {place.parent for place, name in names.items() if counts[name] > 1}
        if not clashing:
            return [names[place] for place in places]
        for folder in clashing:
            lengths[folder] += 1


def _results(run: RunData) -> dict[str, Any]:
    best = run.best
    test = best.get("test") or run.summary.get("test") or {}
    speed = run.summary.get("throughput") or {}
    return {
        "run": run.name,
        "task": run.task,
        "data set": run.dataset.get("name"),
        "status": run.state,
        "epochs": run.epochs,
        "monitor": run.monitor or None,
        "best": best.get("value"),
        "best epoch": best.get("epoch"),
        **{f"test/{name}": value for name, value in sorted(test.items())},
        "seconds": run.seconds,
        "rows/s": speed.get("examples_per_second"),
        "execution": run.summary.get("execution"),
        "precision": run.summary.get("precision"),
    }


def column_names(rows: Sequence[Row]) -> list[str]:
    """The columns of which a run has a value, in order; results of any run stand before settings."""
    names = list(dict.fromkeys(name for row in rows for name in _results(row.run.data)))
    order = sorted(
        names,
        key=lambda name: names.index("seconds") - 0.5 if name.startswith("test/") else names.index(name),
    )
    settings = [name for row in rows[:1] for name in row.values if name not in order]
    return [n for n in [*order, *settings] if any(row.values.get(n) is not None for row in rows)]


def sorted_rows(rows: Sequence[Row], by: str | None) -> list[Row]:
    """The best first, by the monitored value of each task; or by a column, the smallest first.

    Raises:
        UserError: if there is no such column.
    """
    if by is None:
        return sorted(rows, key=lambda row: (str(row.values["task"]), str(row.values["monitor"]), _rank(row)))
    known = column_names(rows)
    if by not in known:
        hint = did_you_mean(by, known, list_known=False)
        near = f"{hint} They" if hint.startswith("did") else "they"
        raise UserError(f"compare.sort={by}: the runs have no such column; {near} have {', '.join(known)}.")

    def place(row: Row) -> tuple[int, float, str]:
        value = row.values.get(by)
        if isinstance(value, (int, float)):
            return (0, float(value), "")
        return (2 if value is None else 1, 0.0, str(value))

    return sorted(rows, key=place)


def _rank(row: Row) -> float:
    """The monitored value so that smaller is better; runs without one come last."""
    value = row.values.get("best")
    if not isinstance(value, (int, float)) or math.isnan(value):
        return math.inf
    return -float(value) if _is_higher_better(row.run.data) else float(value)


def _is_higher_better(run: RunData) -> bool:
    """As the run's summary says; of older runs, as its curve tells."""
    direction = run.summary.get("direction")
    if direction:
        return bool(direction == "max")
    _, values = run.curves.get(run.monitor, ([], []))
    return (
        bool(values) and math.isclose(max(values), float(run.best["value"]), rel_tol=1e-6) and len(values) > 1
    )


@dataclass(frozen=True)
class SeedGroup:
    """Runs that differ in their seeds and folds alone.

    Args:
        rows: The runs, no two of the same fold and seeds.
        spread: Mean and standard deviation of the results, by column.
        apart: What tells it from other groups: the first settings that they do not share.
    """

    rows: Sequence[Row]
    spread: Mapping[str, tuple[float, float]]
    apart: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`2 seeds`, `3 folds`, `3 folds x 2 seeds`; `5 runs of 3 folds x 2 seeds` if one is missing."""
        counts = {"folds": self._different(FOLD), "seeds": self._different(*SEEDS)}
        text = " x ".join(f"{count} {name}" for name, count in counts.items() if count > 1)
        if math.prod(counts.values()) == len(self.rows):
            return text
        return f"{len(self.rows)} runs of {text}"

    def _different(self, *keys: str) -> int:
        return len({str([row.run.settings.get(key) for key in keys]) for row in self.rows})

    def text(self, column: str) -> str:
        """`0.9821 ± 0.0006`"""
        mean, deviation = self.spread[column]
        return f"{number(mean)} ± {deviation:.2g}"


def seed_groups(rows: Iterable[Row]) -> list[SeedGroup]:
    """The runs of one training with several seeds or folds, where two or more were completed.

    A fold with its seeds counts once, by its newest run: it may be trained again alone, or be resumed.
    """
    together: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.run.data.state == "completed" and row.run.settings:
            checksum = row.run.data.dataset.get("sha256", "")
            settings = sorted(row.run.training(seeds=False).items(), key=str)
            key = repr((row.values["task"], checksum, row.run.settings.get(FOLDS), settings))
            found = together.setdefault(key, {})
            which = str([row.run.settings.get(name) for name in (FOLD, *SEEDS)])
            if which not in found or row.run.data.written >= found[which].run.data.written:
                found[which] = row
    groups = [list(found.values()) for found in together.values() if len(found) > 1]
    keys = [key for key in differences([group[0].run for group in groups]) if key not in (FOLD, *SEEDS)]
    return [SeedGroup(group, _spread(group), _apart(group[0].run.settings, keys)) for group in groups]


def _apart(settings: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The first few of these settings that are set."""
    found = {key: settings[key] for key in keys if settings.get(key) is not None}
    return dict(list(found.items())[:MAX_APART])


def _spread(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    found = {}
    for name in column_names(rows):
        values = [row.values.get(name) for row in rows]
        numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(numbers) == len(rows) and (name == "best" or name.startswith("test/")):
            found[name] = (statistics.mean(numbers), statistics.stdev(numbers))
    return found
