"""A checkpoint opened for modes that only look at it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainkit.core import files
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job
from trainkit.reporting import write_report
from trainkit.runs.locate import Found

if TYPE_CHECKING:
    from trainkit.trainer.trainer import Trainer

__all__ = ["Opened", "open_checkpoint", "refuse_empty_split"]

OTHER_ROWS = "Set predict.split to another, or name new rows by predict.path."


@dataclass(frozen=True)
class Opened:
    """A checkpoint, and a trainer with its weights.

    Args:
        found: The checkpoint.
        trainer: With its weights.
        has_new_rows: Whether the rows are not those of the training.
    """

    found: Found
    trainer: Trainer
    has_new_rows: bool = False

    @property
    def folder(self) -> Path:
        """Where results go: the run directory, or beside a checkpoint that lies in none."""
        return _folder(self.found)

    def print_written(self, path: Path) -> None:
        """Print which checkpoint was opened, and where its results are; the run's report shows them, too."""
        if self.found.run is not None and self.found.run.report.is_file():
            write_report(self.found.run.path)
        state = self.trainer.state
        checkpoint = files.shown(self.found.checkpoint)
        rows = self.trainer.splits.source.name
        if self.has_new_rows:
            print(f"Rows:        {rows}")
        print(f"Checkpoint:  {checkpoint} (epoch {state.epoch}{'' if self.has_new_rows else f', {rows}'})")
        print(f"Written:     {files.shown(path)}")


def open_checkpoint(job: Job, rows: Splits | None = None) -> Opened:
    """A trainer with the weights of the checkpoint that the job names.

    Args:
        job: What to open.
        rows: New rows to use in place of the task's.

    Raises:
        UserError: if it names none, the checkpoint is of another model, or results cannot be written.
    """
    from trainkit.trainer.trainer import Trainer

    if job.found is None:
        raise UserError(f"mode={job.config.mode} needs a checkpoint; name one with resume=<run directory>.")
    _check_writable(_folder(job.found))
    config = job.config.trainer
    if rows is not None:  # they stand where training rows stand, but may be fewer than a batch
        few = min(config.batch_size, len(rows.in_memory()["train"]))
        config = replace(config, batch_size=few, accumulate=1)
    trainer = Trainer(config, optimizer=job.config.optimizer)
    trainer.prepare(job.task, data=job.data() if rows is None else rows)
    trainer.restore(job.found.checkpoint)
    trainer.state.finalize()
    if rows is None:
        _warn_of_other_data(job.found, trainer)
    return Opened(job.found, trainer, has_new_rows=rows is not None)


def _folder(found: Found) -> Path:
    return found.run.path if found.run else found.checkpoint.parent


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK):
        raise UserError(
            f"The results belong into {files.shown(folder)}, which cannot be written. Copy it to where you "
            "may write, and name the copy by resume=."
        )


def refuse_empty_split(job: Job, split: str, rows: Any, needed_by: str, remedy: str = OTHER_ROWS) -> None:
    """Refuse a split that has no rows because the run was trained without.

    Args:
        job: With the settings that the run was trained with.
        split: `train`, `validation` or `test`.
        rows: Of the split, None if there are none.
        needed_by: The setting that needs them.
        remedy: What helps.

    Raises:
        UserError: with that setting.
    """
    if rows is None and getattr(job.config.data, split, None) == 0:
        raise UserError(f"{needed_by} needs {split} rows, and data.{split}=0 leaves none. {remedy}")


def _warn_of_other_data(found: Found, trainer: Trainer) -> None:
    """Say if the run was trained on other rows than those at hand."""
    trained = files.read_json(found.run.manifest).get("dataset", {}) if found.run else {}
    source = trainer.splits.source
    if trained and trained.get("sha256") != source.sha256:
        print(
            f"Warning: this run was trained on {trained.get('name')} ({trained.get('origin')}), "
            f"not on {source.name} ({source.origin}); set data.dir to where those rows are."
        )
