"""Checkpoints of the formats 1 and 2, whose variables are as TensorFlow writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.checkpoint.members import Damaged
from trainkit.checkpoint.states import join
from trainkit.checkpoint.train_state import TrainState

__all__ = ["restore"]

ARRAYS = "callbacks.npz"
# Format 1 remembered callbacks by the name of their class.
NAMES = {"Checkpoints": "checkpoints", "EarlyStopping": "early_stopping", "Monitor": "monitor"}


def restore(state: TrainState, folder: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Put the variables back; returns the states of the callbacks by name.

    Raises:
        Damaged: if the files cannot be read.
    """
    try:
        groups = {group: list(variables) for group, variables in state.groups.items()}
        tf.train.Checkpoint(**groups).read(str(folder / "state")).assert_consumed()
        return _first_format(folder, meta) if meta["format"] == 1 else _joined(folder, meta)
    except (tf.errors.OpError, ValueError, AssertionError, OSError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise Damaged(
            f"Checkpoint {folder} cannot be read: {first}. It may be damaged; use another one."
        ) from error


def _joined(folder: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The states of format 2, with their arrays."""
    path = folder / ARRAYS
    arrays: dict[str, np.ndarray] = {}
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    return join(meta["callbacks"], arrays)


def _first_format(folder: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    states: dict[str, Any] = {}
    for name, memory in meta.get("memory", {}).items():
        if isinstance(memory, Mapping):
            states[NAMES.get(name, name)] = dict(memory)
    for name, count in meta.get("held", {}).items():
        reader = tf.train.load_checkpoint(str(folder / "held"))
        values = [reader.get_tensor(f"{name}/{i}/.ATTRIBUTES/VARIABLE_VALUE") for i in range(count)]
        states[NAMES.get(name, name)]["best_weights"] = values
    return states
