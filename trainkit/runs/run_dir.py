"""The directory of a run: the names of its files, where a new one goes, and how it is made."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trainkit.core.errors import UserError
from trainkit.core.files import LEAVING, link, make_folder, now, read_json, shown, write_json
from trainkit.runs.lock import LOCK, is_locked, refuse_held

__all__ = [
    "BEST_TRIAL",
    "CHECKPOINT",
    "CONFIG",
    "LATEST",
    "REPEATS",
    "SEARCH",
    "TIME",
    "RunDir",
    "begins_anew",
    "create",
    "has_saved",
    "link_tensorboard",
    "new_path",
]

CONFIG = "config.yaml"  # marks a folder as a run
CHECKPOINT = "checkpoint.json"  # marks a folder as a checkpoint
REPEATS = "repeats.json"  # marks a folder as that of several runs, of fit.cv or fit.seeds
SEARCH = "search.json"  # marks a folder as a search
BEST_TRIAL = "experiment/best.yaml"  # of a search: where `--config-dir <search> experiment=best` finds it
LATEST = "latest"
UNTOLD = ("task=", "progress=", "run_dir=", "runs_dir=", "resume=", "mode=", "data.dir=")
MAX_LABEL = 120
TIME = "%Y%m%d-%H%M%S"  # in the names of run directories


@dataclass(frozen=True)
class RunDir:
    """The files of one run, usually in `runs/<task>/<timestamp>-<id>/`.

    Args:
        path: The directory.
    """

    path: Path

    @property
    def shown(self) -> str:
        """The directory as people type it."""
        return shown(self.path)

    @property
    def config(self) -> Path:
        """All settings; `--config-dir <run> --config-name config` repeats the run."""
        return self.path / CONFIG

    @property
    def manifest(self) -> Path:
        """Code, versions, devices, arguments and data set: what is needed to repeat the run."""
        return self.path / "manifest.json"

    @property
    def status(self) -> Path:
        """How the run stands, see `write_status`."""
        return self.path / "status.json"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def summary(self) -> Path:
        """The results, in JSON."""
        return self.path / "summary.json"

    @property
    def checkpoints(self) -> Path:
        """A folder for each checkpoint."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / "last"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.checkpoints / "best"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def plots(self) -> Path:
        """The curves as pictures."""
        return self.path / "plots"

    @property
    def model(self) -> Path:
        """The best model, in Keras's format."""
        return self.path / "model.keras"

    @property
    def average(self) -> Path:
        """The model with averaged weights, if weights were averaged, in Keras's format."""
        return self.path / "average.keras"

    @property
    def model_summary(self) -> Path:
        """The model's layers, as text."""
        return self.path / "model.txt"

    @property
    def report(self) -> Path:
        """The run on one page."""
        return self.path / "report.html"

    @property
    def error(self) -> Path:
        """The traceback of a run that failed."""
        return self.path / "error.txt"

    def write_status(self, status: str, epoch: int, step: int, *, reason: str = "") -> None:
        """Write `status.json`.

        Args:
            status: `running`, `completed`, `failed` or `preempted`.
            epoch: Complete epochs.
            step: Optimizer steps in all.
            reason: Why the run is not running.
        """
        content = {"status": status, "reason": reason, "epoch": epoch, "step": step}
        about = {"heartbeat": now(), "pid": os.getpid(), "host": platform.node()}
        write_json(self.status, {**content, **about})


def new_path(runs_dir: str, name: str, run_dir: str | None) -> Path:
    """The path for a new run: `run_dir`, or a fresh `<runs_dir>/<name>/<timestamp>-<id>`. Creates nothing.

    Raises:
        UserError: if `run_dir` is not empty, is being written, or cannot be.
    """
    if run_dir is None:
        path = Path(runs_dir, name, f"{datetime.now():{TIME}}-{secrets.token_hex(4)}")
    else:
        path = Path(run_dir)
        if path.is_dir() and any(path.iterdir()) and not begins_anew(path):
            refuse_held(path)
            todo = "To continue the run there, add resume=last."
            if RunDir(path).status.is_file() and not has_saved(path):
                todo = "The run there has no checkpoint to go on from: choose another, or remove that folder."
            raise UserError(
                f"run_dir={run_dir} already holds something; expected a new or empty folder. {todo}"
            )
    _check_writable(path)
    return path


def create(path: Path, runs_dir: str, name: str) -> RunDir:
    """Make the directory of a run; if it lies in `<runs_dir>/<name>`, let `latest` there link to it.

    Raises:
        UserError: if it cannot be made, or holds something already: two runs never share a directory.
    """
    try:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        if path.exists() and not begins_anew(path):
            refuse_held(path)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        make_folder(path)
        RunDir(path).error.unlink(missing_ok=True)  # of a run that failed here before it had saved anything
        if name and path.parent.resolve() == Path(runs_dir, name).resolve():
            link(path.parent / LATEST, path.name)
    except OSError as error:
        raise UserError(
            f"Cannot make the run directory {path}: {error.strerror}; "
            "choose another with run_dir= or runs_dir=."
        ) from error
    return RunDir(path)


def link_tensorboard(run: RunDir, runs_dir: str, name: str, words: Sequence[str]) -> None:
    """Link to a run's event files in `<runs_dir>/tensorboard/`, where `tensorboard --logdir` finds each once.

    A run that is resumed keeps the name that its first command gave it.

    Args:
        run: The run.
        runs_dir: Folder of all runs; nothing is linked for a run that lies elsewhere.
        name: Name of the task.
        words: What its command said, which tells runs apart.
    """
    folder = Path(runs_dir, "tensorboard").absolute()
    if not run.path.absolute().is_relative_to(folder.parent):
        return
    said = " ".join(word for word in words if "=" in word and not word.startswith(UNTOLD))
    label = re.sub(r"[^\w.=,+-]+", " ", f"{name} {run.path.name} {said}").strip()[:MAX_LABEL]
    folder.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(run.tensorboard.absolute(), folder)
    if not any(known.is_symlink() and os.readlink(known) == target for known in folder.iterdir()):
        link(folder / label, target)


def has_saved(path: Path) -> bool:
    """Whether the folder of a run, or of several, has something to go on from."""
    return (path / REPEATS).exists() or any(RunDir(path).checkpoints.glob(f"*/{CHECKPOINT}"))


def begins_anew(path: Path) -> bool:
    """Whether a folder holds a run that ended before it had saved anything, so that it can begin again there.
    One that failed or was stopped after an epoch stays: somebody may want to see its curves."""
    run = RunDir(path)
    if is_locked(path):
        return False
    if all(one.name == LOCK or LEAVING.fullmatch(one.name) for one in path.iterdir()):
        return True  # while it wrote its first file
    if not ((path / CONFIG).is_file() or (run.manifest.is_file() and run.status.is_file())):
        return False  # no run of the command, nor one from Python
    if run.summary.exists() or has_saved(path):
        return False
    try:
        status = read_json(run.status).get("status", "running")
        if status in ("failed", "preempted") and run.metrics.is_file():
            return len(run.metrics.read_text(encoding="utf-8").splitlines()) < 2  # no epoch ended
        return status in ("running", "failed", "preempted")
    except UserError:
        return False


def _check_writable(path: Path) -> None:
    """Make a folder where the run will go, and remove it again."""
    above = next(p for p in [path, *path.absolute().parents] if p.exists())
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".trainkit-", dir=above))
    except OSError as error:
        raise UserError(
            f"Cannot write to the run directory {path}: {error.strerror}; "
            "choose another with run_dir= or runs_dir=."
        ) from error
