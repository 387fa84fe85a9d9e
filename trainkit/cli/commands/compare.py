"""mode=compare: runs side by side, in the terminal and as `compare.html`."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainkit.cli.settings import flatten, plain, with_types
from trainkit.config import Config
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.reporting.compare_page import compare_html
from trainkit.reporting.comparison import Compared, rows_of, sorted_rows
from trainkit.reporting.run_data import all_runs, read_run
from trainkit.reporting.terminal import pair_lines, table_lines
from trainkit.runs import locate
from trainkit.runs.run_dir import CONFIG

__all__ = ["run"]


def run(config: Config, task: str | None, wanted: Mapping[str, Any]) -> int:
    """Compare two runs, or all that have the settings that are wanted.

    Args:
        config: All settings.
        task: Only runs of this task; None: of all.
        wanted: Settings by dotted key that the runs must have.

    Raises:
        UserError: if there are no such runs.
    """
    runs = _named(config) if config.compare.runs else _found(config, task, wanted)
    for problem in (problem for run in runs for problem in run.data.problems):
        warnings.warn(problem, stacklevel=2)
    width = shutil.get_terminal_size((100, 24)).columns
    rows = rows_of(runs)
    if len(runs) == 2 and config.compare.runs:
        print("\n".join(pair_lines(runs[0], runs[1], rows, width)))
    else:
        rows = sorted_rows(rows, config.compare.sort)
        print("\n".join(table_lines(rows, width, config.compare.limit)))
    folder = Path(config.run_dir or config.runs_dir)
    page = files.write_text(folder / "compare.html", compare_html(rows, files.shown(Path(config.runs_dir))))
    print(f"Written: {files.shown(page)}")
    return 0


def _named(config: Config) -> list[Compared]:
    """The runs that the command line names."""
    found = [locate.run_of(str(run), runs_dir=config.runs_dir, name=None) for run in config.compare.runs]
    return [Compared(read_run(run.path), _settings(run.path)) for run in found]


def _found(config: Config, task: str | None, wanted: Mapping[str, Any]) -> list[Compared]:
    """All runs below the folder of runs that are wanted."""
    runs = [Compared(run, _settings(run.run.path)) for run in all_runs(config.runs_dir)]
    status = config.compare.status
    kept = [
        run
        for run in runs
        if (task is None or run.data.task == task)
        and status in ("any", run.data.state)
        and all(run.settings.get(key) == value for key, value in wanted.items())
    ]
    if not kept:
        wishes = [f"task={task}"] if task else []
        wishes += [f"compare.status={status}"] if status != "any" else []
        wishes += [f"{key}={value}" for key, value in wanted.items()]
        which = f" with {', '.join(wishes)}" if wishes and runs else ""
        raise UserError(
            f"There is no run{which} in {config.runs_dir}, where {len(runs)} runs are; train one with "
            "`python -m trainkit task=mnist`, or name another folder with runs_dir=."
        )
    return kept


def _settings(run: Path) -> dict[str, Any]:
    """The settings of a run by dotted key; of a run from Python, those of its trainer."""
    path = run / CONFIG
    if not path.is_file():
        about = read_run(run).manifest.get("settings") or {}
        return {f"trainer.{key}": value for key, value in about.items() if value is not None}
    try:
        loaded = OmegaConf.load(path)
    except Exception:  # whatever YAML says of a damaged file; the run still has results
        loaded = None
    if not isinstance(loaded, DictConfig) or not plain(loaded):
        warnings.warn(f"{files.shown(path)} is damaged: this run is shown without settings.", stacklevel=2)
        return {}
    with suppress(OmegaConfBaseException):  # raised for settings that are gone since
        loaded = with_types(loaded)  # those that an older run does not know have their defaults
    flat = flatten(plain(loaded))
    return {key: value for key, value in flat.items() if not isinstance(value, Mapping) and value is not None}
