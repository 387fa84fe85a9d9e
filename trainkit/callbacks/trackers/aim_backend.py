"""Aim: a repository in a folder, or a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Aim"]


class Aim:
    """One run in Aim.

    Args:
        project: Name of the experiment.
        place: Folder of the repository, or the address of a server, as `aim://...`.
    """

    name = "aim"

    def __init__(self, project: str, place: str) -> None:
        self.project = project
        self.place = place
        self.run: Any = None

    def start(self, run: str, known_as: str | None, settings: Mapping[str, str]) -> str:
        import aim

        if "://" not in self.place:
            Path(self.place).mkdir(parents=True, exist_ok=True)
            aim.Repo.from_path(self.place, init=True)
        self.run = aim.Run(
            run_hash=known_as,
            repo=self.place,
            experiment=self.project,
            system_tracking_interval=None,
            capture_terminal_logs=False,
        )
        self.run.name = run
        self.run["settings"] = dict(settings)
        return str(self.run.hash)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.run.track(value, name=name, step=step)

    def finish(self, status: str, results: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        self.run["results"] = dict(results)
        self.run["status"] = status
        self.run["files"] = [str(path) for path in artifacts]
        self.run.close()
