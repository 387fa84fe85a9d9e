"""One thing that the command is asked to do, checked and ready, as plain data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainkit.config import Config
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.distributed import cluster
from trainkit.runs.locate import Found


@dataclass(frozen=True)
class Job:
    """What a mode works from.

    Args:
        config: All settings.
        task: What to train.
        found: The run and checkpoint that `resume=` names, if any.
        path: Where a new run is to lie; None where none is made.
        files: Texts to keep in the run directory by name: `config.yaml`, `.hydra/...`.
        settings: The resolved config as plain dicts, for TensorBoard.
        callbacks: Makes the callbacks of `callbacks.extra`.
        argv: Arguments of the command, for the manifest.
        config_dir: The config directory that the task came from, if it is not ours.
        changed: Settings that differ from those that a resumed run began with: key -> (before, now).
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

    def command(self, **settings: str) -> str:
        """A command to be copied: `python -m trainkit mode=evaluate resume=runs/mnist/...`."""
        launch = (
            f"launch workers={cluster.workers()} " if cluster.launched() and "mode" not in settings else ""
        )
        return f"python -m trainkit {launch}" + shlex.join(
            f"{key}={_quoted(value)}" for key, value in settings.items()
        )

    def data(self) -> Splits | None:
        """The rows to train on where they are not all that the task has (`data.train_rows`), else None.

        Raises:
            UserError: if the task's rows are no arrays.
        """
        rows = self.config.data.train_rows
        if rows is None:
            return None
        splits = self.task.data()
        if not isinstance(splits.train, Arrays):
            raise UserError(
                f"data.train_rows={rows} needs the rows as arrays; this task's data() gives a tf.data.Dataset."
            )
        return replace(splits, train=splits.train.take(slice(0, rows)))


def _quoted(value: str) -> str:
    """A value as the grammar of overrides takes it: quoted where it holds more than a plain path or word."""
    if re.fullmatch(r"[\w./+%@-]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
