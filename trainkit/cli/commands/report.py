"""mode=report: writes `report.html` of a run anew."""

from __future__ import annotations

from trainkit.config import Config
from trainkit.core import files
from trainkit.reporting import write_report
from trainkit.runs import locate

__all__ = ["run"]


def run(config: Config, name: str | None) -> int:
    """Write the report of the run that `resume=` names, else of the newest.

    Args:
        config: All settings.
        name: Task whose newest run is meant; None: the newest of all.

    Raises:
        UserError: if there is no such run.
    """
    found = locate.run_of(config.resume or config.run_dir, runs_dir=config.runs_dir, name=name)
    print(f"Written:   {files.shown(write_report(found.path))}")
    return 0
