"""What a search leaves for people: `trials.csv`, and the best settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.core.cells import no_formula
from trainkit.reporting.search_page import SearchData, TrialData, search_html
from trainkit.runs import metrics_csv
from trainkit.runs.run_dir import BEST_TRIAL
from trainkit.tuning.study import Entry, SearchStudy, trial_folder

__all__ = ["BEST", "REPORT", "TABLE", "counts", "shown_values", "write_report", "write_tables"]

TABLE = "trials.csv"
BEST = "best.yaml"
REPORT = "report.html"
METRICS = "metrics.csv"


def write_tables(
    study: SearchStudy,
    objectives: Sequence[str],
    experiment: Callable[[Mapping[str, Any], str], str] | None,
) -> list[Entry]:
    """Write `trials.csv` and, once a trial is complete, `best.yaml`.

    Args:
        study: The trials.
        objectives: Names of their values.
        experiment: Gives the text of an experiment file for settings and a comment; None: no such file.

    Returns:
        The trials.
    """
    entries = study.entries()
    files.write_text(study.folder / TABLE, _table(entries, study, objectives))
    best = study.best()
    if best and experiment is not None:
        comment = f"trial {best[0].number}: {shown_values(best[0], objectives)}"
        path = study.folder / BEST
        if not path.is_file() or f"# {comment}\n" not in path.read_text(encoding="utf-8"):
            text = experiment(study.space.decode(best[0].settings), comment)
            files.write_text(study.folder / BEST_TRIAL, text)
            files.write_text(path, text)
    return entries


def write_report(study: SearchStudy, objectives: Sequence[str], commands: Mapping[str, str]) -> Path:
    """Write `report.html` of a search, as far as it has come."""
    trials = [_trial_data(study, entry, objectives[0]) for entry in study.entries()]
    content = SearchData(
        name=f"Search by {study.config.kind} choice, {len(trials)} trials",
        folder=files.shown(study.folder),
        objectives=objectives,
        directions=study.directions,
        keys=study.space.keys,
        trials=trials,
        best=[entry.number for entry in study.best()],
        importances=study.importances(),
        commands=commands,
    )
    return files.write_text(study.folder / REPORT, search_html(content))


def _trial_data(study: SearchStudy, entry: Entry, objective: str) -> TrialData:
    """A trial with its learning curve; of several folds, that of the first."""
    folder = trial_folder(study.folder, entry.number)
    paths = [folder / METRICS, folder / "fold-1" / METRICS]
    rows = next((metrics_csv.read_rows(path) for path in paths if path.is_file()), [])
    curve = metrics_csv.curves(rows).get(objective, ([], []))
    return TrialData(
        entry.number, entry.state, entry.values, entry.settings, entry.seconds, entry.reason, curve
    )


def shown_values(entry: Entry, objectives: Sequence[str]) -> str:
    """`val_loss 0.1234, seconds 3.2`."""
    return ", ".join(f"{name} {value:.6g}" for name, value in zip(objectives, entry.values, strict=False))


def counts(entries: Sequence[Entry]) -> dict[str, int]:
    """Trials by their state."""
    return {
        state: sum(entry.state == state for entry in entries)
        for state in ("complete", "running", "pruned", "failed")
    }


def _table(entries: Sequence[Entry], study: SearchStudy, objectives: Sequence[str]) -> str:
    """One row per trial; of several objectives, each has a column besides `value`, which is the first."""
    keys = study.space.keys
    more = [f"value/{name}" for name in objectives] if len(objectives) > 1 else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "value", *more, *keys, "seconds", "run"])
    for entry in entries:
        values = [repr(float(value)) for value in entry.values] or [""] * len(objectives)
        folder = trial_folder(Path(), entry.number).as_posix()
        settings = [no_formula(_cell(entry.settings.get(key))) for key in keys]
        seconds = "" if entry.seconds is None else f"{entry.seconds:.3f}"
        writer.writerow(
            [entry.number, entry.state, values[0], *(values if more else []), *settings, seconds, folder]
        )
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
