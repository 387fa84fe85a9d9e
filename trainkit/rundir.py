"""A run's directory: how it is made, found again, and written so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import math
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainkit.task import UserError

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
        write_json(self.path / "status.json", {"status": status, "reason": reason, "epoch": epoch, "step": step, "time": now(), "pid": os.getpid()})


@dataclass(frozen=True)
class Found:
    """What `resume=` means: a checkpoint, and the run that it belongs to if it lies in one."""

    checkpoint: Path
    run: RunDir | None


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
            raise UserError(f"run_dir={run_dir} already holds something; expected a new or empty folder. To continue the run there, add resume=last.")
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
        raise UserError(f"Cannot make the run directory {path}: {error.strerror}; choose another with run_dir= or runs_dir=.") from error
    return run


def locate(resume: str | None, *, runs_dir: str, name: str, run_dir: str | None, prefer: Sequence[str]) -> Found:
    """The checkpoint that `resume=` means.

    Args:
        resume: `last` or `best` of `run_dir`, else of the task's newest run; a run directory; a checkpoint folder; None: as a run directory.
        prefer: Checkpoints of a run directory to take, the first that is there.

    Raises:
        UserError: if there is no such run or checkpoint.
    """
    if resume in (None, "last", "best"):
        path = Path(run_dir) if run_dir is not None else newest(runs_dir, name)
        prefer = (resume,) if resume else prefer
    else:
        path = Path(resume)
    if not path.is_dir():
        raise UserError(f"{shown(path)} is no folder; expected a run directory such as {runs_dir}/{name}/{LATEST}, or a checkpoint in it.")
    path = path.resolve()
    if (path / CHECKPOINT).is_file():
        run = path.parent.parent
        return Found(path, RunDir(run) if (run / CONFIG).is_file() else None)
    if not (path / CONFIG).is_file():
        raise UserError(f"{shown(path)} is no run: it has no {CONFIG}; expected a run directory such as {runs_dir}/{name}/{LATEST}, or a checkpoint in it.")
    for checkpoint in (path / "checkpoints" / p for p in prefer):
        if (checkpoint / CHECKPOINT).is_file():
            return Found(checkpoint, RunDir(path))
    raise UserError(f"Run {shown(path)} has no checkpoint {' or '.join(prefer)} yet; start it anew, or name another run or checkpoint with resume=.")


def newest(runs_dir: str, name: str) -> Path:
    """The newest run of a task.

    Raises:
        UserError: if there is none.
    """
    latest = Path(runs_dir, name, LATEST)
    if latest.is_dir():
        return latest
    runs = sorted(p for p in latest.parent.glob("*") if (p / CONFIG).is_file())
    if not runs:
        raise UserError(f"There is no run in {latest.parent} yet; train one with `python -m trainkit task={name}`, or name one with resume=<run directory>.")
    return runs[-1]


def write_text(path: Path, text: str) -> Path:
    """Write a file beside and rename it, so that a reader or a crash sees the old text or the new.

    Raises:
        UserError: if it cannot be written.
    """
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"Cannot write {path}: {error.strerror}. Check the disk and its permissions.") from error
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON file as `write_text` does; NaN and infinite numbers become null, which JSON has no other word for."""
    return write_text(path, json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")


def shown(path: Path) -> str:
    """A path as people type it: relative to the working directory where it lies inside."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _probe(path: Path) -> None:
    """Try to make a folder where the run is to lie, and leave nothing behind."""
    above = next(p for p in [path, *path.absolute().parents] if p.exists())
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".trainkit-", dir=above))
    except OSError as error:
        raise UserError(f"Cannot write into the run directory {path}: {error.strerror}; choose another with run_dir= or runs_dir=.") from error


def _link(link: Path, target: str) -> None:
    beside = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    beside.symlink_to(target, target_is_directory=True)
    os.replace(beside, link)


def _plain(value: Any) -> Any:
    """Plain JSON values: NumPy numbers as numbers, paths as text, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = float(value)
    return number if math.isfinite(number) else None
