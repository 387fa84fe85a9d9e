"""mode=verify_resume: kills a training again and again, resumes it, and compares it with one that was not."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.checkpoint import members
from trainkit.cli import arguments, planning
from trainkit.cli.commands import fit
from trainkit.cli.compose import compose
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.core.words import override
from trainkit.experiment.job import Job
from trainkit.runs import run_dir
from trainkit.runs.run_dir import RunDir

if TYPE_CHECKING:
    from trainkit.verification.attempts import Attempt

__all__ = ["run"]

# What a comparison sets for its trainings, in place of the same words of the command.
SET_FOR_ATTEMPTS = ("mode=", "verify.", "run_dir=", "progress=")
# Imported once, before the first attempt: an attempt is a copy of this process.
NEEDED = (
    "trainkit.experiment.runner",
    "trainkit.callbacks.tensorboard",
    "trainkit.runs.figures",
    "matplotlib.figure",
)


def run(job: Job) -> int:
    """Kill and resume the training; leaves `verify_resume.json`.

    Returns:
        The exit code: 0 if the trainings are equal bit for bit, else 1.

    Raises:
        UserError: for what cannot be compared.
    """
    from trainkit.backend import compat
    from trainkit.verification.resume import verify_resume

    config = job.config
    if config.resume is not None:
        raise UserError("mode=verify_resume trains anew; leave resume= out.")
    if not config.checkpoint.enabled:
        raise UserError("mode=verify_resume needs checkpoints; leave checkpoint.enabled=false out.")
    if job.path is None:
        raise ValueError("A comparison needs a path for its runs.")
    # Who looks at images has computed by now.
    attempts = _Launches(job) if config.verify.workers or compat.has_computed() else _Copies(job)
    place = run_dir.create(job.path, config.runs_dir, config.mode)
    report = verify_resume(attempts.start, place.path, kills=config.verify.kills, seed=config.verify.seed)
    about = {"task": config.name, "words": list(job.argv)}
    files.write_json(place.path / "verify_resume.json", {**about, **report.as_dict()})
    print("\n".join(report.lines()))
    print(f"Written:   {place.shown}/verify_resume.json")
    return 0 if report.passed else 1


class _Copies:
    """Attempts that are copies of this process, which has imported everything and computed nothing."""

    def __init__(self, job: Job) -> None:
        self.words = _words(job)
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            raise UserError(
                "mode=verify_resume copies a process that has imported TensorFlow, which a GPU does not "
                "survive; hide it (CUDA_VISIBLE_DEVICES=), or use verify.workers=1."
            )
        for module in NEEDED:
            importlib.import_module(module)

    def start(self, run: Path, writes: int) -> Attempt:
        """Start an attempt in a run directory."""
        from trainkit.verification.attempts import Forked
        from trainkit.verification.resume import log_of

        return Forked(lambda: _train([*self.words, *_place(run)]), log_of(run), writes)


class _Launches:
    """Attempts that are commands of their own, by one worker or several."""

    def __init__(self, job: Job) -> None:
        self.workers = job.config.verify.workers or 1
        launch = ["launch", f"workers={self.workers}"] if self.workers > 1 else []
        self.command = [sys.executable, "-m", "trainkit", *launch, *_words(job)]

    def start(self, run: Path, writes: int) -> Attempt:
        """Start an attempt in a run directory; it does not count its writes."""
        from trainkit.verification.attempts import Launched
        from trainkit.verification.resume import log_of

        return Launched([*self.command, *_place(run)], log_of(run), self.workers)


def _words(job: Job) -> list[str]:
    kept = [word for word in job.argv if not word.startswith(SET_FOR_ATTEMPTS)]
    return [*kept, "mode=fit", "progress=none"]


def _place(run: Path) -> list[str]:
    """The word that begins a run, or resumes it if anything was saved."""
    saved = members.newest_good(RunDir(run).checkpoints) is not None
    return [override("resume" if saved else "run_dir", str(run))]


def _train(words: Sequence[str]) -> int:
    try:
        parsed = arguments.parse(words)
        return fit.run(planning.plan(compose(parsed)[0], parsed).job())
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
