"""What a resumed training must have in common with the one that was stopped, seen before anything starts."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainkit.checkpoint import store
from trainkit.core.errors import UserError
from trainkit.trainer.loop import resumed_step
from trainkit.trainer.setup import TrainSetup

__all__ = ["check_resumed"]

MAY_GROW = ("epochs", "steps")  # training on is what resuming is for
BACKUP = "training_metadata.json"  # of Keras's BackupAndRestore


def check_resumed(
    setup: TrainSetup,
    folder: Path | str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    told: Collection[str] = (),
) -> Collection[str]:
    """Warn of settings that differ from those of a checkpoint, and refuse what would train rows twice or
    never.

    Args:
        setup: The training that is to go on.
        folder: The checkpoint.
        callbacks: Those of the training.
        told: Settings whose change somebody has told already, such as `trainer.seed`.

    Returns:
        The settings that differ.

    Raises:
        UserError: in the middle of an epoch, for another seed, other training rows or fewer steps per epoch,
            by `model.fit`, or of a former version that took other orders of a shuffle; for a callback that
            brings back another state.
    """
    for backup in _backups(callbacks):
        raise UserError(
            f"resume={folder} and the backup in {backup} both bring back a training; resume without the "
            "callback BackupAndRestore, or remove its folder."
        )
    about = store.describe(folder)
    changed = _changed(setup, about["settings"], about["rows"])
    position = about["position"]
    if position["step_in_epoch"]:
        if setup.config.engine == "keras":
            raise UserError(
                f"Checkpoint {folder} is in the middle of an epoch, where model.fit cannot begin; "
                "resume it with trainer.engine=trainkit."
            )
        _check_same_order(folder, position, changed)
        if setup.source.shuffled == "seeded" and about["orders"] != store.ORDERS:
            raise UserError(
                f"Checkpoint {folder} is of a former version, in the middle of epoch {position['epoch'] + 1} "
                "of a shuffled Dataset: the rest of the epoch has another order now, so that rows would come "
                "twice or never. Resume one at the end of an epoch, or train anew."
            )
        resumed_step(setup, position, about["step_rows"])
    told_now = [f"{key} is {now}, was {before}" for key, (before, now) in changed.items() if key not in told]
    if told_now:
        warnings.warn(f"Resumed with other settings: {'; '.join(told_now)}.", stacklevel=3)
    return changed.keys()


def _check_same_order(
    folder: Path | str, position: Mapping[str, int], changed: Mapping[str, tuple[Any, Any]]
) -> None:
    """Refuse to go on in an epoch whose rows would come in another order."""
    for key in ("trainer.seed", "training rows"):
        if key in changed:
            before, now = changed[key]
            raise UserError(
                f"Checkpoint {folder} stands in the middle of epoch {position['epoch'] + 1}, whose order was "
                f"drawn with {key} {before}; with {now}, rows would come twice or never. Resume with "
                f"{before}, or from a checkpoint at the end of an epoch."
            )


def _changed(setup: TrainSetup, settings: Mapping[str, Any], rows: int) -> dict[str, tuple[Any, Any]]:
    """What differs: key -> (value before, value now). What a checkpoint does not tell is no difference."""
    now = asdict(setup.config)
    changed = {
        f"trainer.{name}": (settings[name], value)
        for name, value in now.items()
        if name in settings and name not in MAY_GROW and settings[name] != value
    }
    if rows and rows != setup.source.rows:
        changed["training rows"] = (rows, setup.source.rows)
    return changed


def _backups(callbacks: Iterable[keras.callbacks.Callback]) -> list[Any]:
    """Folders of the backups that `BackupAndRestore` would bring back."""
    folders = [c.backup_dir for c in callbacks if isinstance(c, keras.callbacks.BackupAndRestore)]
    return [folder for folder in folders if tf.io.gfile.exists(f"{folder}/{BACKUP}")]
