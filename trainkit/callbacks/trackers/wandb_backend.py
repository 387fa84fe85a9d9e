"""Weights & Biases: offline, into a folder, unless a server is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["WandB"]


class WandB:
    """One run in Weights & Biases.

    Args:
        project: Name of the project.
        place: Address of a server, as `https://...`; else a folder of offline runs, for `wandb sync`.
    """

    name = "wandb"

    def __init__(self, project: str, place: str) -> None:
        self.project = project
        self.place = place
        self.run: Any = None

    def start(self, run: str, known_as: str | None, settings: Mapping[str, str]) -> str:
        import wandb

        online = "://" in self.place
        if not online:
            Path(self.place).mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"console": "off", "silent": True}
        if online:
            options["base_url"] = self.place
        self.run = wandb.init(
            project=self.project,
            name=run,
            id=known_as,
            resume="allow" if known_as else None,
            dir=None if online else self.place,
            mode="online" if online else "offline",
            config=dict(settings),
            settings=wandb.Settings(**options),
        )
        return str(self.run.id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def finish(self, status: str, results: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        self.run.summary.update(dict(results))
        for path in artifacts:
            self.run.save(str(path), base_path=str(path.parent), policy="now")
        self.run.finish(exit_code=0 if status == "completed" else 1)
