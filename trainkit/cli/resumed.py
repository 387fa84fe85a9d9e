"""The settings that a run on the disk was started with, and what a command line changes of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Set
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from trainkit.cli import columns
from trainkit.cli.hydra_app import ERRORS
from trainkit.cli.settings import flatten, plain, with_types
from trainkit.config import DataConfig
from trainkit.core.errors import UserError, one_line
from trainkit.core.files import shown
from trainkit.runs import run_dir

__all__ = ["Changes", "folder_of_config", "merged_with_run"]

Changes = Mapping[str, tuple[Any, Any]]  # key -> (value before, value now)

PER_COMMAND = frozenset(
    {
        "mode",
        "resume",
        "run_dir",
        "runs_dir",
        "progress",
        "evaluate",
        "predict",
        "parity",
        "export",
        "compare",
        "verify",
    }
)
OF_EVERY_RUN = ("name", "task", "trainer", "optimizer", "data", "callbacks", "checkpoint")
OF_THE_TRAINING = ("task.", "trainer.", "optimizer.", "data.")
MAY_GROW = ("trainer.epochs", "trainer.steps")  # training on is what resuming is for


def folder_of_config(config_dir: str) -> str:
    """For `--config-dir <run>`: its unresolved settings, so that `data.dir=` still reaches the task."""
    run = Path(config_dir)
    original = run / ".hydra" / run_dir.CONFIG
    if original.is_file() and (run / run_dir.CONFIG).is_file() and _saved(run)[1]:
        return str(original.parent)
    return config_dir


def merged_with_run(mine: DictConfig, named: Set[str], run: Path) -> tuple[DictConfig, Changes]:
    """The settings of a run with what the command line names on top, and the changes to the training.

    Args:
        mine: The settings of the command line.
        named: The keys and groups that it names.
        run: The run directory.

    Raises:
        UserError: if the command line names another task, or the run's settings cannot be read.
    """
    saved, _ = _saved(run)
    for name, value in cast(DataConfig, OmegaConf.to_object(saved.data)).unread_before().items():
        columns.update(saved, f"data.{name}", value)
    if "task" in named and mine.name != saved.name:
        raise UserError(
            f"task={mine.name}: {shown(run)} is a run of task {saved.name}; leave task= out, "
            "or name another run with resume=."
        )
    keys = (named | PER_COMMAND) - {"task"}
    if os.environ.get("TRAINKIT_DATA"):
        keys |= {"data.dir"}
    merged = saved.copy()
    for key in sorted(key for key in keys if _exists(mine, key)):
        columns.update(merged, key, columns.select(mine, key))
    before = flatten(plain(saved))
    after = flatten(plain(merged))
    return merged, {key: (before.get(key), after[key]) for key in _changed(before, after)}


def _exists(settings: DictConfig, key: str) -> bool:
    """Whether a key is a setting; `experiment` is not, since the choice of it is no value itself."""
    section, last = columns.place(settings, key)
    return isinstance(section, DictConfig) and last in section


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        key
        for key, value in after.items()
        if key.startswith(OF_THE_TRAINING)
        and key not in MAY_GROW
        and not isinstance(value, Mapping)
        and before.get(key) != value
    ]


def _saved(run: Path) -> tuple[DictConfig, bool]:
    """A run's settings, and whether they are unresolved; `config.yaml` wins where somebody has edited it."""
    path, original = run / run_dir.CONFIG, run / ".hydra" / run_dir.CONFIG
    unresolved = _read(original, OF_EVERY_RUN) if original.is_file() else None
    # All that the file held, since for what is lost of it the default values would count.
    held = OF_EVERY_RUN if unresolved is None else _keys(unresolved)
    resolved = _read(path, held, "" if unresolved is None else f", such as {original}")
    try:
        if unresolved is not None:  # it may name TRAINKIT_DATA, which may be another now
            columns.update(unresolved, "data.dir", columns.select(resolved, "data.dir"))
        if unresolved is not None and plain(with_types(unresolved), resolve=True) == plain(
            with_types(resolved), resolve=True
        ):
            return with_types(unresolved), True
        return with_types(resolved), False
    except ERRORS as error:
        raise _damaged(path, one_line(str(error))) from error


def _read(path: Path, held: Collection[str], copy: str = "") -> DictConfig:
    """The settings in a file of a run, which holds these keys."""
    try:
        settings = OmegaConf.load(path)
    except (OSError, *ERRORS) as error:
        raise _damaged(path, one_line(str(error)), copy) from error
    found = _keys(settings) if isinstance(settings, DictConfig) else ()
    lost = next((key for key in held if key not in found), None)
    if lost is not None or not isinstance(settings, DictConfig):
        raise _damaged(path, f"it has no {lost}", copy)
    return settings


def _keys(settings: DictConfig) -> list[str]:
    """The sections and their settings, without what those hold: an option may be taken out by hand."""
    return [key for key in flatten(plain(settings)) if key.count(".") < 2]


def _damaged(path: Path, reason: str, copy: str = "") -> UserError:
    return UserError(
        f"{shown(path)} is damaged: {reason}; expected the settings that the run wrote: restore the file "
        f"from a copy{copy}."
    )
