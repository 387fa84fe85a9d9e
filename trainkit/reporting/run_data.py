"""What a run directory tells, read as far as it is there: a run may be going on, or have failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.runs.metrics_csv import curves, read_rows
from trainkit.runs.run_dir import RunDir

__all__ = ["RunData", "all_runs", "read_run"]

Curve = tuple[list[int], list[float]]


@dataclass(frozen=True, kw_only=True)
class RunData:
    """The files of one run.

    Args:
        run: Its directory.
        summary: `summary.json`; empty while the run goes on.
        manifest: `manifest.json`.
        status: `status.json`.
        curves: Each logged value over the epochs, by Keras's name, and `learning_rate` and `seconds`.
        problems: Files that cannot be read.
    """

    run: RunDir
    summary: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.run.path.name

    @property
    def task(self) -> str:
        """Name of the task; of an older run without a summary, that of the folder that it lies in."""
        return str(self.summary.get("task") or self.manifest.get("task") or self.run.path.parent.name)

    @property
    def state(self) -> str:
        """`running`, `completed`, `failed`, `preempted`; `unknown` without a status."""
        return str(self.status.get("status", "unknown"))

    @property
    def written(self) -> str:
        """When it was last written, in UTC; such times are in order as texts."""
        return str(self.status.get("heartbeat", ""))

    @property
    def dataset(self) -> Mapping[str, Any]:
        """Name, origin and checksum of the data set that was really used."""
        found = self.manifest.get("dataset")
        return found if isinstance(found, Mapping) else {}

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that were logged, the loss first."""
        names = [name for name in self.curves if not name.startswith("val_") and name not in RATES]
        return sorted(names, key=lambda name: name != "loss")

    @property
    def monitor(self) -> str:
        """The value that decides which epoch is best; empty if it is not known yet."""
        return str(self.summary.get("monitor", ""))

    @property
    def best(self) -> Mapping[str, Any]:
        """Value and epoch of the best, with its test results."""
        found = self.summary.get("best")
        return found if isinstance(found, Mapping) else {}

    @property
    def epochs(self) -> int:
        """Epochs that are complete."""
        return int(self.summary.get("epochs") or self.status.get("epoch") or 0)

    @property
    def seconds(self) -> float | None:
        """Seconds of the whole fit, if it is over."""
        found = (self.summary.get("seconds") or {}).get("total")
        return None if found is None else float(found)


RATES = ("learning_rate", "seconds")
STATUS = "status.json"  # marks a folder as a run, of the command or from Python


def read_run(path: Path | str) -> RunData:
    """Read the files of a run; damaged ones are named in `problems`."""
    run = RunDir(Path(path))
    problems: list[str] = []

    def read(file: Path) -> dict[str, Any]:
        try:
            return files.read_json(file)
        except (UserError, OSError) as error:
            problems.append(str(error))
            return {}

    found = {name: read(getattr(run, name)) for name in ("summary", "manifest", "status")}
    drawn: dict[str, Curve] = {}
    try:
        rows = read_rows(run.metrics)
        drawn.update(curves(rows))
        for name in RATES:
            pairs = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
            if pairs:
                drawn[name] = ([epoch for epoch, _ in pairs], [value for _, value in pairs])
    except (OSError, ValueError, UserError) as error:
        problems.append(f"{run.metrics.name} cannot be read: {error}")
    return RunData(run=run, curves=drawn, problems=tuple(problems), **found)


def all_runs(folder: Path | str) -> list[RunData]:
    """All runs below a folder, the oldest first; links such as `latest` are not followed."""
    found = []
    for status in Path(folder).rglob(STATUS):
        place = status.parent
        if not any(part.is_symlink() for part in (place, *place.parents)):
            found.append(place)
    return [read_run(place) for place in sorted(found, key=lambda place: place.name)]
