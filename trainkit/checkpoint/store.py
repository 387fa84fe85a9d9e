"""Checkpoints that are exact and whole: every variable by name, the position, and what else a resumed
training must know.

A checkpoint is a folder: the variables (`variables.bin`), the arrays of the callbacks' states
(`callbacks.bin`), and `checkpoint.json`: format number, position, names, shapes, types and checksums of all
arrays, the other states of the callbacks, and its own checksum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.checkpoint import former
from trainkit.checkpoint.members import FORMAT, META, Damaged, Record, read_arrays, read_meta
from trainkit.checkpoint.states import join, separate
from trainkit.checkpoint.train_state import POSITION, SWAPPED, TrainState
from trainkit.core.errors import UserError

__all__ = ["FORMAT", "META", "ORDERS", "describe", "read_meta", "record", "restore", "save"]

ORDERS = 2  # number of the rule by which an epoch takes an order of a seeded shuffle; 1 took each one
PARTS = "replicas"  # before the names of arrays with what each replica holds for itself


def record(
    state: TrainState,
    *,
    values: Sequence[np.ndarray] | None = None,
    position: Mapping[str, int] | None = None,
    callbacks: Mapping[str, Mapping[str, Any]] | None = None,
    execution: str = "",
    step_rows: int = 0,
    rows: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Record:
    """What a checkpoint of the state holds, as copies on the host.

    Args:
        state: What is saved.
        values: Variables to save instead of the current ones, in the order of `state.variables`.
        position: Position that goes with `values`; default: the current one.
        callbacks: `state_dict` of each callback by its name: JSON values and NumPy arrays.
        execution: Mode of execution of the training, which a resumed one keeps.
        step_rows: Rows per optimizer step, by which a position within an epoch counts.
        rows: Training rows, whose order a position within an epoch depends on; 0: not known.
        settings: All trainer settings, as JSON values.
    """
    plain, arrays = separate(callbacks or {})
    parts = {} if values is not None else state.parts.read()
    arrays |= {f"{PARTS}/{name}": part for name, part in parts.items()}
    content = {
        "position": dict(position or state.position()),
        "skipped": state.skipped,
        "idle": state.idle,
        "execution": execution,
        "step_rows": step_rows,
        "rows": rows,
        "orders": ORDERS,
        "settings": dict(settings or {}),
        "callbacks": plain,
    }
    named = list(zip(state.names, state.values() if values is None else values, strict=True))
    return Record(content=content, variables=named, arrays=list(arrays.items()))


def save(state: TrainState, folder: Path | str, **about: Any) -> Path:
    """Write the state as a folder that `restore` reads. The folder appears whole or not at all.

    Args:
        state: What is written.
        folder: To be made; one that is there is replaced.
        **about: Arguments of `record`.

    Raises:
        UserError: if the folder cannot be written.
    """
    return record(state, **about).write(folder)


def restore(state: TrainState, folder: Path | str) -> dict[str, Any]:
    """Put a saved state back, all of it, or nothing where the checkpoint is damaged.

    Returns:
        `callbacks`: the state of each callback by its name, `execution`: the mode of the training that was
        saved, and `step_rows`: its rows per optimizer step, 0 if that is not known.

    Raises:
        UserError: if the folder is no checkpoint, is damaged, or belongs to another model or optimizer.
    """
    folder = Path(folder)
    meta = read_meta(folder)
    try:
        _check_same_variables(state, folder, meta)
        if meta["format"] < 3:
            callbacks = former.restore(state, folder, meta)
        else:
            values = read_arrays(folder, meta, "variables.bin")
            arrays = dict(read_arrays(folder, meta, "callbacks.bin"))
            callbacks = join(meta["callbacks"], arrays)
            state.assign([value for _, value in values])
            state.parts.assign({name: arrays.get(f"{PARTS}/{name}", ()) for name in state.parts.names})
        state.seek(meta["position"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"{folder / META} is damaged: {error!r}. Use another checkpoint.") from error
    state.skipped = int(meta.get("skipped", 0))
    state.idle = bool(meta.get("idle", False))
    state.swapped = any(one.get(SWAPPED, False) for one in callbacks.values())
    return {
        "callbacks": callbacks,
        "execution": meta.get("execution", ""),
        "step_rows": int(meta.get("step_rows", 0)),
    }


def describe(folder: Path | str) -> dict[str, Any]:
    """What a checkpoint tells of its training, without its arrays.

    Returns:
        `position`; `step_rows` and `rows`, 0 if they are not known; `orders`, see `ORDERS`;
        `settings`, empty if they are not known.

    Raises:
        UserError: if the folder is no checkpoint, or is damaged.
    """
    meta = read_meta(folder)
    try:
        return {
            "position": {name: int(meta["position"][name]) for name in POSITION},
            "step_rows": int(meta.get("step_rows", 0)),
            "rows": int(meta.get("rows", 0)),
            "orders": int(meta.get("orders", 1)),
            "settings": dict(meta.get("settings", {})),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{Path(folder) / META} is damaged: {error!r}. Use another checkpoint.") from error


def _check_same_variables(state: TrainState, folder: Path, meta: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose variables differ in number, name, shape or type."""
    here = [[n, list(v.shape), v.dtype.name] for n, v in zip(state.names, state.variables, strict=True)]
    there = [list(v)[:3] for v in meta["variables"]]
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
                f"{len(here)} here; first difference: {_shown(theirs)} there, {_shown(mine)} here. "
                "Take the model and optimizer that it was saved with, or start anew without it."
            )


def canonical(name: str) -> str:
    """A variable's name without the numbers that Keras counts up in a process: `dense_4/kernel` ->
    `dense/kernel`."""
    return re.sub(r"_\d+(?=[_/]|$)", "", name)


def _shown(variable: list[Any] | None) -> str:
    return "nothing more" if variable is None else f"{variable[0]} {variable[1]} {variable[2]}"
