"""Finds a run again: what `resume=` names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.core.words import command, in_shell, override
from trainkit.runs.lock import holder
from trainkit.runs.run_dir import (
    BEST_TRIAL,
    CHECKPOINT,
    CONFIG,
    LATEST,
    REPEATS,
    SEARCH,
    TIME,
    RunDir,
    begins_anew,
)

__all__ = ["Found", "locate", "newest", "run_around", "run_of", "several"]


@dataclass(frozen=True)
class Found:
    """What `resume=` names.

    Args:
        checkpoint: A checkpoint folder.
        run: The run that it belongs to; None if it lies elsewhere.
    """

    checkpoint: Path
    run: RunDir | None


def locate(
    resume: str | None, *, runs_dir: str, name: str | None, run_dir: str | None, prefer: Sequence[str]
) -> Found:
    """The checkpoint that `resume=` names.

    Args:
        resume: A run directory; a checkpoint folder; `last` or `best`, which mean `run_dir` if that is given,
            else the newest run; None means the same run as `last`, with its checkpoint chosen by `prefer`.
        runs_dir: Folder of all runs.
        name: Task whose newest run is meant; None: the newest run of all tasks.
        run_dir: The run directory that was given, if any.
        prefer: Names of checkpoints; the first that the run has is taken.

    Raises:
        UserError: if there is no such run or checkpoint.
    """
    path = _place(resume, runs_dir, name, run_dir)
    if resume in ("last", "best"):
        prefer = (resume,)
    example = f"{runs_dir}/{name or '<task>'}/{LATEST}"
    expected = f"expected a run directory such as {example}, or a checkpoint in it."
    if not path.is_dir():
        raise UserError(f"{shown(path)} is no folder; {expected}")
    path = path.resolve()
    if (path / CHECKPOINT).is_file():
        run = path.parent.parent
        return Found(path, RunDir(run) if (run / CONFIG).is_file() else None)
    _check_is_one(path)
    if not (path / CONFIG).is_file():
        raise UserError(f"{shown(path)} is no run: it has no {CONFIG}; {expected}")
    for name_of_one in prefer:
        checkpoint = RunDir(path).checkpoints / name_of_one
        left = sorted(checkpoint.parent.glob(f".????????-{name_of_one}/{CHECKPOINT}"))  # by a killed writer
        if checkpoint.is_dir() or left:
            if name_of_one != prefer[0]:
                warnings.warn(
                    f"Run {shown(path)} has no checkpoint {prefer[0]}; {name_of_one} is opened.", stacklevel=2
                )
            return Found(checkpoint if checkpoint.is_dir() else left[0].parent, RunDir(path))
    if any(RunDir(path).checkpoints.glob(f"*/{CHECKPOINT}")):  # killed between the first two that it saves
        return Found(RunDir(path).checkpoints / prefer[0], RunDir(path))
    writer = holder(path)
    if writer is not None:
        raise UserError(
            f"Run {shown(path)} is being written by {writer}, and has no checkpoint {' or '.join(prefer)} "
            "yet. Wait until it has, or stop it."
        )
    anew = "" if begins_anew(path) else " in another run_dir"
    raise UserError(
        f"Run {shown(path)} has no checkpoint {' or '.join(prefer)} yet; "
        f"start it anew{anew}, or name another run or checkpoint with resume=."
    )


def several(resume: str | None, *, runs_dir: str, name: str | None, run_dir: str | None) -> RunDir | None:
    """The folder of several runs, of `fit.cv` or `fit.seeds`, that `resume=` names; None: it names none.

    Args:
        resume: As for `locate`.
        runs_dir: Folder of all runs.
        name: Task whose newest run is meant; None: the newest run of all tasks.
        run_dir: The run directory that was given, if any.

    Raises:
        UserError: if `resume` means the newest run, and there is none.
    """
    path = _place(resume, runs_dir, name, run_dir)
    return RunDir(path.resolve()) if (path / REPEATS).is_file() else None


def run_around(exported: str | None) -> str | None:
    """The run in whose `export/` a file lies; None if it lies elsewhere.

    Raises:
        UserError: if there is no such file.
    """
    if exported is None:
        return None
    path = Path(exported)
    if not path.exists():
        raise UserError(f"predict.model={exported}: no such file; expected what mode=export writes.")
    run = path.resolve().parent.parent
    return str(run) if RunDir(run).status.is_file() else None


def run_of(path: str | None, *, runs_dir: str, name: str | None) -> RunDir:
    """A run, whatever it has: that in the folder `path`, else the newest.

    Args:
        path: A run directory, or one of its checkpoints; `last`, `best` and None mean the newest run.
        runs_dir: Folder of all runs.
        name: Task whose newest run is meant; None: the newest run of all tasks.

    Raises:
        UserError: if there is no such run.
    """
    place = newest(runs_dir, name) if path in (None, "last", "best") else Path(path or "")
    place = place.resolve()
    for folder in (place, place.parent.parent):
        if RunDir(folder).status.is_file():
            return RunDir(folder)
    _check_is_one(place)
    example = f"{runs_dir}/{name or '<task>'}/{LATEST}"
    raise UserError(f"{shown(place)} is no run; expected a run directory such as {example}.")


def newest(runs_dir: str, name: str | None) -> Path:
    """The newest run, or folder of several that belong together.

    Args:
        runs_dir: Folder of all runs.
        name: Task whose runs are meant; None: those of all tasks.

    Raises:
        UserError: if there is none.
    """
    folder = Path(runs_dir, name) if name else Path(runs_dir)
    folders = [folder] if name else folder.glob("*")
    runs = [run for run in map(_newest_in, folders) if run is not None]
    if not runs:
        raise UserError(
            f"There is no run in {folder} yet; train one with `python -m trainkit task={name or 'mnist'}`, "
            "or name one with resume=<run directory>."
        )
    return max(runs, key=_began)


def _place(resume: str | None, runs_dir: str, name: str | None, run_dir: str | None) -> Path:
    """The folder that `resume=` names."""
    if resume in (None, "last", "best"):
        return Path(run_dir) if run_dir is not None else newest(runs_dir, name)
    return Path(resume or "")


def _newest_in(folder: Path) -> Path | None:
    """The newest training of a task: the link to it, which is as old as the run, else the last by name. A
    folder of several runs is one training, also if it stands where those of a task stand."""
    if (folder / REPEATS).is_file():
        return folder
    latest = folder / LATEST
    if _is_training(latest):
        return latest
    return max(filter(_is_training, folder.glob("*")), key=lambda run: run.name, default=None)


def _is_training(path: Path) -> bool:
    """Whether a folder is a run that trained, or one of several; comparisons have no status."""
    return (path / REPEATS).is_file() or ((path / CONFIG).is_file() and RunDir(path).status.is_file())


def _check_is_one(path: Path) -> None:
    """Refuse a folder of several runs where one is needed, and name them.

    Raises:
        UserError: if it is one.
    """
    folder = shown(path)
    if (path / REPEATS).is_file():
        names = [run.name for run in path.glob("[!.]*") if (run / CONFIG).is_file()]
        names.sort(key=lambda name: (len(name), name))
        one = f"name one, such as {_as_word(path / names[0])}" if names else "none has begun"
        raise UserError(f"{folder} holds {', '.join(names) or 'several runs'}: {one}.")
    if (path / SEARCH).is_file():
        trials = [run.relative_to(path) for run in sorted(path.glob("trials/*")) if (run / CONFIG).is_file()]
        if (path / BEST_TRIAL).is_file():
            todo = f"train its best settings by `{command('--config-dir', folder, 'experiment=best')}`"
        else:
            todo = f"no trial is complete; continue it by its command with {_as_word(path, 'run_dir')}"
        if trials:
            todo += f", or name one of its {len(trials)} trials, such as {_as_word(path / trials[0])}"
        raise UserError(f"{folder} is a search, not a run: {todo}.")


def _as_word(path: Path, key: str = "resume") -> str:
    """A word of the command that can be copied."""
    return in_shell(override(key, shown(path)))


def _began(run: Path) -> tuple[str, int]:
    """When a run began: to the second by its name, if that tells it, and by the age of its folder or link."""
    age = run.lstat().st_mtime_ns
    name = run.resolve().name
    in_name = re.match(r"\d{8}-\d{6}", name)
    return in_name[0] if in_name else f"{datetime.fromtimestamp(age / 1e9):{TIME}}", age
