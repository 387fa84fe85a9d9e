"""A run's directory: how it is made, found again, and written so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from trainkit.core.errors import UserError
from trainkit.core.files import now, shown, write_json

CONFIG = "config.yaml"


CHECKPOINT = "checkpoint.json"  # what makes a folder a checkpoint


LATEST = "latest"


@dataclass(frozen=True)
class RunDir:
    """The paths of one run, `runs/<task>/<time>-<id>`, and its small files."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def shown(self) -> str:
        """The path as people type it: relative to the working directory where it lies inside."""
        return shown(self.path)

    def read_json(self, name: str) -> dict[str, Any]:
        """What a JSON file of the run holds; nothing if there is no such file.

        Raises:
            UserError: if the file is damaged.
        """
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}; expected the JSON that a run writes.") from error

    def write_status(self, status: str, epoch: int, step: int, *, reason: str = "") -> None:
        """Say in `status.json` how the run stands: `running`, `completed`, `failed` or `preempted`, and where."""
        write_json(
            self.path / "status.json",
            {
                "status": status,
                "reason": reason,
                "epoch": epoch,
                "step": step,
                "time": now(),
                "pid": os.getpid(),
            },
        )


def new_path(runs_dir: str, name: str, run_dir: str | None) -> Path:
    """Where a new run is to lie: `run_dir`, or a fresh `<runs_dir>/<name>/<time>-<id>`. Creates nothing.

    Raises:
        UserError: if `run_dir` already holds something, or nothing can be written there.
    """
    if run_dir is None:
        path = Path(runs_dir, name, f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}")
    else:
        path = Path(run_dir)
        if path.is_dir() and any(path.iterdir()):
            raise UserError(
                f"run_dir={run_dir} already holds something; expected a new or empty folder. To continue the run there, add resume=last."
            )
    _probe(path)
    return path


def create(path: Path, runs_dir: str, name: str) -> RunDir:
    """Make the run's folder and let `<runs_dir>/<name>/latest` link to it, if it lies there. Two runs never share a folder."""
    run = RunDir(path)
    try:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        if path.parent.resolve() == Path(runs_dir, name).resolve():
            _link(path.parent / LATEST, path.name)
    except OSError as error:
        raise UserError(
            f"Cannot make the run directory {path}: {error.strerror}; choose another with run_dir= or runs_dir=."
        ) from error
    return run


def _probe(path: Path) -> None:
    """Try to make a folder where the run is to lie, and leave nothing behind."""
    above = next(p for p in [path, *path.absolute().parents] if p.exists())
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".trainkit-", dir=above))
    except OSError as error:
        raise UserError(
            f"Cannot write into the run directory {path}: {error.strerror}; choose another with run_dir= or runs_dir=."
        ) from error


def _link(link: Path, target: str) -> None:
    beside = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    beside.symlink_to(target, target_is_directory=True)
    os.replace(beside, link)
