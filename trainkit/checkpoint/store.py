"""Checkpoints that are exact and whole: every variable and the position, written beside and then renamed."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.checkpoint.train_state import State
from trainkit.core.errors import UserError

META = "checkpoint.json"


def save(
    state: State,
    folder: Path | str,
    *,
    values: Sequence[np.ndarray] | None = None,
    position: dict[str, int] | None = None,
    memory: dict[str, Any] | None = None,
    held: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> Path:
    """Write the state as a folder that `restore` reads. The folder appears whole or not at all.

    Args:
        folder: To be made; one that is there is replaced.
        values: Variables to write instead of the current ones, in the order of `state.variables`.
        position: Position that goes with `values`; default: the current one.
        memory: What else a resumed run must know of its observers, e.g. the best value so far. JSON.
        held: Arrays that belong to parts of the memory, e.g. the weights of the best epoch so far.

    Raises:
        UserError: if the folder cannot be written.
    """
    folder = Path(folder)
    beside = folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}"
    try:
        beside.mkdir(parents=True)
        if values is None:
            _tracker(state).write(str(beside / "state"))
        else:
            _values_tracker(state, values).write(str(beside / "state"))
        held = held or {}
        if held:
            tf.train.Checkpoint(
                **{name: [tf.Variable(v) for v in arrays] for name, arrays in held.items()}
            ).write(str(beside / "held"))
        meta = {
            "position": position or state.position(),
            "memory": memory or {},
            "held": {name: len(arrays) for name, arrays in held.items()},
            "variables": [[v.name, list(v.shape), v.dtype.name] for v in state.variables],
        }
        (beside / META).write_text(json.dumps(meta))
        _sync(beside)
        if folder.exists():
            _exchange(beside, folder)
        else:
            os.rename(beside, folder)
    except OSError as error:
        raise UserError(
            f"Cannot write the checkpoint {folder}: {error.strerror or error}. Check the disk and its permissions."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def restore(state: State, folder: Path | str) -> dict[str, Any]:
    """Put a saved state back, all of it, and return its `memory`, with what it held as `memory[name]["held"]`.

    Raises:
        UserError: if the folder is no checkpoint, or of another model or optimizer.
    """
    folder = Path(folder)
    meta = read_meta(folder)
    mine = [[list(v.shape), v.dtype.name] for v in state.variables]
    theirs = [[shape, dtype] for _, shape, dtype in meta["variables"]]
    if mine != theirs:
        first = next(
            (i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b),
            min(len(mine), len(theirs)),
        )
        here = f"{state.variables[first].name} {mine[first]}" if first < len(mine) else "nothing more"
        there = f"{meta['variables'][first]}" if first < len(theirs) else "nothing more"
        raise UserError(
            f"Checkpoint {folder} is of another model or optimizer: {len(theirs)} variables against {len(mine)} here; "
            f"first difference: {there} there, {here} here."
        )
    try:
        _tracker(state).read(str(folder / "state")).assert_consumed()
        for name, count in meta.get("held", {}).items():
            reader = tf.train.load_checkpoint(str(folder / "held"))
            meta["memory"][name]["held"] = [
                reader.get_tensor(f"{name}/{i}/.ATTRIBUTES/VARIABLE_VALUE") for i in range(count)
            ]
    except (tf.errors.OpError, ValueError, AssertionError) as error:
        raise UserError(
            f"Checkpoint {folder} cannot be read: {str(error).splitlines()[0]}. It may be damaged; use another one."
        ) from error
    state.seek(meta["position"])
    return dict(meta["memory"])


def read_meta(folder: Path | str) -> dict[str, Any]:
    """What a checkpoint says of itself: `position`, `memory`, `variables`."""
    path = Path(folder) / META
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError(
            f"{folder} is no checkpoint: it has no {META}. Expected a folder such as <run>/checkpoints/last."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}. Use another checkpoint.") from error


def _tracker(state: State) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{group: list(variables) for group, variables in state.groups.items()})


def _values_tracker(state: State, values: Sequence[np.ndarray]) -> tf.train.Checkpoint:
    rest = iter(values)
    return tf.train.Checkpoint(
        **{
            group: [tf.Variable(next(rest), dtype=v.dtype) for v in variables]
            for group, variables in state.groups.items()
        }
    )


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one atomic step, so that a crash leaves the one or the other whole (Linux; elsewhere in two renames)."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
    if (
        sys.platform == "linux"
        and libc.renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(old), exchange) == 0
    ):
        return
    aside = old.parent / f".{old.name}-old-{uuid.uuid4().hex[:8]}"
    os.rename(old, aside)
    os.rename(new, old)
    shutil.rmtree(aside)


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
