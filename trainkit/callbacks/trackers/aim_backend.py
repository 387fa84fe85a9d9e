"""Aim: a server, or a folder on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Aim"]


class Aim:
    """One run in Aim.

    Args:
        project: Name of the experiment.
        place: Address of a server, as `aim://...`, which gets no files; else a folder, for `aim up --repo`.
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
        self.run = aim.Run(
            known_as,
            repo=self.place,
            experiment=self.project,
            system_tracking_interval=None,
            capture_terminal_logs=False,
        )
        self.run.name = run
        self.run["settings"] = dict(settings)
        if "://" not in self.place:
            self.run.set_artifacts_uri(f"file://{Path(self.place).absolute()}/artifacts")
        return str(self.run.hash)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.run.track(value, name=name, step=step, epoch=step)

    def finish(self, status: str, results: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        self.run["results"] = dict(results)
        self.run["status"] = status
        for path in artifacts if self.run.artifacts_uri is not None else ():
            folder = "plots/" if path.parent.name == "plots" else ""
            self.run.log_artifact(str(path), f"{folder}{path.name}", block=True)
        self.run.close()
