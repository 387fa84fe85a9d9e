"""Checkpoints that are exact and whole: every variable and the position, written beside and then renamed."""

from __future__ import annotations

import shutil
import string
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint.store import save
from trainkit.checkpoint.train_state import State
from trainkit.config import CheckpointConfig
from trainkit.core.errors import UserError


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
            raise UserError(
                f"checkpoint.pattern={config.pattern!r} must contain {{epoch}} or {{step}}, or every checkpoint would overwrite the one before."
            )
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
        return {
            "execution": self.execution,
            **{name: monitor.memory() for name, monitor in self.monitors.items()},
        }

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
            raise UserError(
                f"checkpoint.pattern={self.config.pattern!r} does not fit: {error!r}. Known: epoch, step, {', '.join(logs)}."
            ) from error
        self._write(state, name)
        self.kept = [*(k for k in self.kept if k != name), name]
        while self.config.keep is not None and len(self.kept) > self.config.keep:
            old = self.kept.pop(0)
            shutil.rmtree(self.folder / old, ignore_errors=True)

    def _write(self, state: State, name: str, *, memory: dict[str, Any] | None = None, **what: Any) -> None:
        memory = memory or self.memories()
        held = {
            name: m.held[1]
            for name, m in self.monitors.items()
            if m.held[1] and m.held[0] == memory[name]["best_epoch"]
        }
        save(state, self.folder / name, memory=memory, held=held, **what)
