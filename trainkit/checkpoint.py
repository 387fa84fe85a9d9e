"""Checkpoints that are exact and whole: every variable and the position, written beside and then renamed."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import string
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.config import CheckpointConfig
from trainkit.state import Monitor, State
from trainkit.task import UserError

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
            tf.train.Checkpoint(**{name: [tf.Variable(v) for v in arrays] for name, arrays in held.items()}).write(str(beside / "held"))
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
        raise UserError(f"Cannot write the checkpoint {folder}: {error.strerror or error}. Check the disk and its permissions.") from error
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
        first = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
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
            meta["memory"][name]["held"] = [reader.get_tensor(f"{name}/{i}/.ATTRIBUTES/VARIABLE_VALUE") for i in range(count)]
    except (tf.errors.OpError, ValueError, AssertionError) as error:
        raise UserError(f"Checkpoint {folder} cannot be read: {str(error).splitlines()[0]}. It may be damaged; use another one.") from error
    state.seek(meta["position"])
    return dict(meta["memory"])


def read_meta(folder: Path | str) -> dict[str, Any]:
    """What a checkpoint says of itself: `position`, `memory`, `variables`."""
    path = Path(folder) / META
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{folder} is no checkpoint: it has no {META}. Expected a folder such as <run>/checkpoints/last.") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}. Use another checkpoint.") from error


def _tracker(state: State) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{group: list(variables) for group, variables in state.groups.items()})


def _values_tracker(state: State, values: Sequence[np.ndarray]) -> tf.train.Checkpoint:
    rest = iter(values)
    return tf.train.Checkpoint(**{group: [tf.Variable(next(rest), dtype=v.dtype) for v in variables] for group, variables in state.groups.items()})


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one atomic step, so that a crash leaves the one or the other whole (Linux; elsewhere in two renames)."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
    if sys.platform == "linux" and libc.renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(old), exchange) == 0:
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


class Checkpoints(Monitor):
    """Saves `last`, `best` and, if asked, every so many epochs `pattern`, in one folder.

    `last` is written when at least 20 times its own cost has passed since it was written before, and at the end, so that saving
    takes no more than about 5 % of a run however short its epochs are.

    Args:
        folder: `<run>/checkpoints`.
        config: What to keep.
        monitor: Logged value that decides `best`.
        mode: `min`, `max` or `auto`.
        every_call: Write `last` whenever it is possible, on several workers: saving reads values that lie on all of them, so that all
            must save together, and not when their clocks say so.
        clock: Seconds; for tests.
    """

    def __init__(
        self,
        folder: Path | str,
        config: CheckpointConfig,
        monitor: str,
        mode: str = "auto",
        *,
        every_call: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(monitor, mode)
        self.folder, self.config, self.every_call, self.clock = Path(folder), config, every_call, clock
        fields = {name for _, name, _, _ in string.Formatter().parse(config.pattern) if name is not None}
        if not fields & {"epoch", "step"}:
            raise UserError(f"checkpoint.pattern={config.pattern!r} must contain {{epoch}} or {{step}}, or every checkpoint would overwrite the one before.")
        self.kept: list[str] = []
        self.execution = ""
        self.monitors: dict[str, Monitor] = {type(self).__name__: self}  # all that a checkpoint must remember
        self.best_memories: dict[str, Any] = {}
        self._saved_at, self._cost = -np.inf, 0.0

    def due(self, epoch: int) -> bool:
        return bool(self.config.every_epochs) and epoch % (self.config.every_epochs or 1) == 0

    def memory(self) -> dict[str, Any]:
        return {**super().memory(), "kept": self.kept}

    def remember(self, memory: Any) -> None:
        super().remember(memory)
        self.kept = [name for name in memory.get("kept", []) if (self.folder / name).exists()]

    def memories(self) -> dict[str, Any]:
        return {"execution": self.execution, **{name: monitor.memory() for name, monitor in self.monitors.items()}}

    def capture(self, state: State, values: Sequence[np.ndarray] | None) -> None:
        position, memory = (None, None) if values is None else (self.best_position(), self.best_memories)
        self._write(state, "best", values=values, position=position, memory=memory)

    def after_call(self, state: State, logs: dict[str, Any], *, final: bool = False) -> None:
        """Called when a call of the program is over, with the model at `state.position()`."""
        if self.due(state.epoch) and state.step_in_epoch == 0 and not final:
            self._keep(state, logs)
        if final or self.every_call or self.clock() - self._saved_at > 20 * self._cost:
            begin = self.clock()
            self._write(state, "last")
            self._saved_at, self._cost = self.clock(), self.clock() - begin

    def _keep(self, state: State, logs: dict[str, Any]) -> None:
        try:
            name = self.config.pattern.format(**{**logs, "epoch": state.epoch, "step": state.step})
        except (KeyError, ValueError, IndexError) as error:
            raise UserError(f"checkpoint.pattern={self.config.pattern!r} does not fit: {error!r}. Known: epoch, step, {', '.join(logs)}.") from error
        self._write(state, name)
        self.kept = [*(k for k in self.kept if k != name), name]
        while self.config.keep is not None and len(self.kept) > self.config.keep:
            old = self.kept.pop(0)
            shutil.rmtree(self.folder / old, ignore_errors=True)

    def _write(self, state: State, name: str, *, memory: dict[str, Any] | None = None, **what: Any) -> None:
        memory = memory or self.memories()
        held = {name: m.held[1] for name, m in self.monitors.items() if m.held[1] and m.held[0] == memory[name]["best_epoch"]}
        save(state, self.folder / name, memory=memory, held=held, **what)
