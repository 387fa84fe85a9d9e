"""A run's directory: how it is made, found again, and written so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.runs.run_dir import CHECKPOINT, CONFIG, LATEST, RunDir


@dataclass(frozen=True)
class Found:
    """What `resume=` means: a checkpoint, and the run that it belongs to if it lies in one."""

    checkpoint: Path
    run: RunDir | None


def locate(
    resume: str | None, *, runs_dir: str, name: str, run_dir: str | None, prefer: Sequence[str]
) -> Found:
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
        raise UserError(
            f"{shown(path)} is no folder; expected a run directory such as {runs_dir}/{name}/{LATEST}, or a checkpoint in it."
        )
    path = path.resolve()
    if (path / CHECKPOINT).is_file():
        run = path.parent.parent
        return Found(path, RunDir(run) if (run / CONFIG).is_file() else None)
    if not (path / CONFIG).is_file():
        raise UserError(
            f"{shown(path)} is no run: it has no {CONFIG}; expected a run directory such as {runs_dir}/{name}/{LATEST}, or a checkpoint in it."
        )
    for checkpoint in (path / "checkpoints" / p for p in prefer):
        if (checkpoint / CHECKPOINT).is_file():
            return Found(checkpoint, RunDir(path))
    raise UserError(
        f"Run {shown(path)} has no checkpoint {' or '.join(prefer)} yet; start it anew, or name another run or checkpoint with resume=."
    )


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
        raise UserError(
            f"There is no run in {latest.parent} yet; train one with `python -m trainkit task={name}`, or name one with resume=<run directory>."
        )
    return runs[-1]
