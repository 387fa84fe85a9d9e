"""One thing that the command is asked to do, checked and ready, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainkit.config import Config
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.core.words import command
from trainkit.distributed import cluster
from trainkit.runs.locate import Found

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """What a mode works from.

    Args:
        config: All settings.
        task: What to train.
        found: The checkpoint, and its run, that `resume=` names; None: start anew.
        path: Directory of a new run, or of several; None if the job makes none.
        files: Texts to keep in the run directory, by name: `config.yaml`, `.hydra/...`.
        settings: The resolved config as plain dicts, for TensorBoard.
        callbacks: Makes the callbacks of `callbacks.extra`.
        argv: Arguments of the command, for the manifest.
        config_dir: The config directory that the task came from; None: ours.
        changed: Settings that differ from those that a resumed run began with: key -> (before, now).
        splits: Rows to use in place of the task's own.
        space: What mode=tune searches.
        variant: Makes this job with other values of some settings, by their keys, and from a checkpoint if a
            second argument names one.
        experiment: Gives the text of an experiment file for such values and a comment.
        search_jobs: Processes that wait to search together with this one.
        before_run: Called when all is checked, before anything is trained.
    """

    config: Config
    task: Task
    found: Found | None = None
    path: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Callable[[], list[Any]] = list
    argv: Sequence[str] = ()
    config_dir: str | None = None
    changed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    splits: Splits | None = None
    space: Any = None
    variant: Callable[..., Job] | None = None
    experiment: Callable[[Mapping[str, Any], str], str] | None = None
    search_jobs: Any = None
    before_run: Callable[[], None] | None = None

    def command(self, **settings: str) -> str:
        """A command that can be copied: `python -m trainkit mode=evaluate resume=runs/mnist/...`.

        Args:
            settings: What follows. Without a mode, the command trains, by as many workers as this one.
        """
        launched = cluster.is_local_launch() and "mode" not in settings
        words = ["launch", f"workers={cluster.workers()}"] if launched else []
        return command(*words, **settings)

    def data(self) -> Splits | None:
        """The rows of `splits`, else those of `data.train_rows`; None: all rows of the task.

        Raises:
            UserError: if the task gives its rows as a `tf.data.Dataset`.
        """
        rows = self.config.data.train_rows
        if self.splits is not None:
            return self.splits
        if rows is None:
            return None
        splits = self.task.data()
        if not isinstance(splits.train, Arrays):
            raise UserError(
                f"data.train_rows={rows} needs the rows as arrays; this task gives a tf.data.Dataset."
            )
        return replace(splits, train=splits.train.select(slice(0, rows)))
