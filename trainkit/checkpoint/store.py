"""Checkpoints that are exact and whole: every variable by name, the position, and what else a resumed
training must know.

A checkpoint is a folder: `checkpoint.json` (format number, position, names, shapes and types of the
variables, states of the callbacks), the variables (`state.*`, as TensorFlow writes them), and the arrays of
the callbacks' states (`callbacks.npz`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.checkpoint.train_state import TrainState
from trainkit.core.errors import UserError
from trainkit.core.files import replacing_folder

__all__ = ["FORMAT", "META", "read_meta", "restore", "save"]

FORMAT = 2  # of the folder's content; 1 had no names to compare and called the states `memory`
META = "checkpoint.json"
ARRAYS = "callbacks.npz"
# Format 1 remembered callbacks by the name of their class.
FORMER_NAMES = {"Checkpoints": "checkpoints", "EarlyStopping": "early_stopping", "Monitor": "monitor"}


def save(
    state: TrainState,
    folder: Path | str,
    *,
    values: Sequence[np.ndarray] | None = None,
    position: Mapping[str, int] | None = None,
    callbacks: Mapping[str, Mapping[str, Any]] | None = None,
    execution: str = "",
) -> Path:
    """Write the state as a folder that `restore` reads. The folder appears whole or not at all.

    Args:
        state: What is written.
        folder: To be made; one that is there is replaced.
        values: Variables to write instead of the current ones, in the order of `state.variables`.
        position: Position that goes with `values`; default: the current one.
        callbacks: `state_dict` of each callback by its name: JSON values and NumPy arrays.
        execution: Mode of execution of the training, which a resumed one keeps.

    Raises:
        UserError: if the folder cannot be written.
    """
    plain, arrays = _separate(callbacks or {})
    meta = {
        "format": FORMAT,
        "position": dict(position or state.position()),
        "execution": execution,
        "skipped": state.skipped,
        "variables": [
            [n, list(v.shape), v.dtype.name] for n, v in zip(state.names, state.variables, strict=True)
        ],
        "callbacks": plain,
    }
    with replacing_folder(folder) as beside:
        _tracker(state, values).write(str(beside / "state"))
        if arrays:
            np.savez(beside / ARRAYS, allow_pickle=False, **arrays)
        (beside / META).write_text(json.dumps(meta))
    return Path(folder)


def restore(state: TrainState, folder: Path | str) -> dict[str, Any]:
    """Put a saved state back, all of it.

    Returns:
        `callbacks`: the state of each callback by its name, and `execution`: the mode of the training that
        was saved.

    Raises:
        UserError: if the folder is no checkpoint, is damaged, or belongs to another model or optimizer.
    """
    folder = Path(folder)
    meta = read_meta(folder)
    _check_same_variables(state, folder, meta)
    try:
        _tracker(state).read(str(folder / "state")).assert_consumed()
        callbacks = _former_callbacks(folder, meta) if meta["format"] == 1 else _joined(folder, meta)
    except (tf.errors.OpError, ValueError, AssertionError, OSError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"Checkpoint {folder} cannot be read: {first}. It may be damaged; use another one."
        ) from error
    state.seek(meta["position"])
    state.skipped = int(meta.get("skipped", 0))
    return {"callbacks": callbacks, "execution": meta.get("execution", "")}


def read_meta(folder: Path | str) -> dict[str, Any]:
    """What a checkpoint says of itself: `format`, `position`, `variables`, `callbacks`.

    Raises:
        UserError: if the folder is no checkpoint, is damaged, or was written by a later version.
    """
    path = Path(folder) / META
    try:
        meta = dict(json.loads(path.read_text()))
        number = int(meta.setdefault("format", 1))
    except OSError as error:
        raise UserError(
            f"{folder} is no checkpoint: it has no {META}. Expected a folder such as <run>/checkpoints/last."
        ) from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}. Use another checkpoint.") from error
    if number > FORMAT:
        raise UserError(
            f"{path} has format {number}; this version reads up to {FORMAT}. Use a newer trainkit."
        )
    if number == 1:
        meta["execution"] = meta.get("memory", {}).get("execution", "")
    return meta


def _tracker(state: TrainState, values: Sequence[np.ndarray] | None = None) -> tf.train.Checkpoint:
    """TensorFlow's writer and reader of the variables, or of `values` in their place."""
    if values is None:
        return tf.train.Checkpoint(**{group: list(variables) for group, variables in state.groups.items()})
    rest = iter(values)
    groups = {
        group: [tf.Variable(next(rest), dtype=v.dtype) for v in variables]
        for group, variables in state.groups.items()
    }
    return tf.train.Checkpoint(**groups)


def _check_same_variables(state: TrainState, folder: Path, meta: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose variables differ in number, name, shape or type."""
    here = [[n, list(v.shape), v.dtype.name] for n, v in zip(state.names, state.variables, strict=True)]
    there = [list(v) for v in meta["variables"]]
    named = meta["format"] > 1  # format 1 kept TensorFlow's names, which lack the layer

    def same(a: list[Any], b: list[Any]) -> bool:
        return a[1:] == b[1:] and (not named or canonical(a[0]) == canonical(b[0]))

    count = max(len(here), len(there))
    for i in range(count):
        mine = here[i] if i < len(here) else None
        theirs = there[i] if i < len(there) else None
        if mine is None or theirs is None or not same(mine, theirs):
            raise UserError(
                f"Checkpoint {folder} is of another model or optimizer: {len(there)} variables against "
                f"{len(here)} here; "
                f"first difference: {_shown(theirs)} there, {_shown(mine)} here."
            )


def canonical(name: str) -> str:
    """A variable's name without the numbers that Keras counts up in a process: `dense_4/kernel` ->
    `dense/kernel`."""
    return re.sub(r"_\d+(?=[_/]|$)", "", name)


def _shown(variable: list[Any] | None) -> str:
    return "nothing more" if variable is None else f"{variable[0]} {variable[1]} {variable[2]}"


def _separate(states: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """States as JSON, in which each array is replaced by `{"array": key}`, and the arrays by key."""
    arrays: dict[str, np.ndarray] = {}

    def plain(value: Any, key: str) -> Any:
        if isinstance(value, np.ndarray):
            arrays[key] = value
            return {"array": key}
        if isinstance(value, Mapping):
            return {str(k): plain(v, f"{key}/{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v, f"{key}/{i}") for i, v in enumerate(value)]
        return value.item() if isinstance(value, np.generic) else value

    return {name: plain(state, name) for name, state in states.items()}, arrays


def _joined(folder: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_separate`."""
    path = folder / ARRAYS
    arrays: dict[str, np.ndarray] = {}
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {"array"}:
                return arrays[value["array"]]
            return {k: whole(v) for k, v in value.items()}
        return [whole(v) for v in value] if isinstance(value, list) else value

    return {name: whole(state) for name, state in meta["callbacks"].items()}


def _former_callbacks(folder: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The states of the callbacks in a checkpoint of format 1."""
    states: dict[str, Any] = {}
    for name, memory in meta.get("memory", {}).items():
        if not isinstance(memory, Mapping):
            continue
        states[FORMER_NAMES.get(name, name)] = dict(memory)
    for name, count in meta.get("held", {}).items():
        reader = tf.train.load_checkpoint(str(folder / "held"))
        values = [reader.get_tensor(f"{name}/{i}/.ATTRIBUTES/VARIABLE_VALUE") for i in range(count)]
        states[FORMER_NAMES.get(name, name)]["best_weights"] = values
    return states
