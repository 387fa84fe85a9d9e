"""Saves the training while it runs: the last state, the best one, and every so many epochs a named one."""

from __future__ import annotations

import shutil
import string
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint.store import save
from trainkit.checkpoint.train_state import TrainState
from trainkit.core.errors import UserError

__all__ = ["Checkpoints"]

COST_FACTOR = (
    20  # `last` is written when so many times its own cost has passed: about 5 % of a run at the most
)
PATTERN = "epoch-{epoch:04d}"


class Checkpoints(Monitor):
    """Saves `last`, `best` and, if asked, every so many epochs `pattern`, in one folder.

    Args:
        folder: `<run>/checkpoints`.
        monitor: Logged value that decides `best`.
        mode: `min`, `max`, or `auto`: the metric says which.
        every_epochs: Epochs between checkpoints that are named by `pattern`; None: none.
        keep: Newest checkpoints of that kind to keep; None: all.
        pattern: Their name: a format text with `{epoch}` or `{step}`, and logged values such as
            `{val_loss:.4f}`.
        every_call: Write `last` whenever it is possible. On several workers saving reads values that lie on
            all of them, so all must save together, and not when their clocks say so.
        clock: Seconds; for tests.

    Raises:
        UserError: for a pattern that would overwrite its own files.
    """

    state_name = "checkpoints"

    def __init__(
        self,
        folder: Path | str,
        monitor: str = "val_loss",
        mode: str = "auto",
        *,
        every_epochs: int | None = None,
        keep: int | None = None,
        pattern: str = PATTERN,
        every_call: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(monitor, mode)
        fields = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
        if not fields & {"epoch", "step"}:
            raise UserError(
                f"checkpoint.pattern={pattern!r} must contain {{epoch}} or {{step}}, or every checkpoint "
                "would "
                "overwrite the one before."
            )
        self.folder = Path(folder)
        self.every_epochs = every_epochs
        self.keep = keep
        self.pattern = pattern
        self.every_call = every_call
        self.clock = clock
        self.kept: list[str] = []
        self.execution = ""
        self.collect: Callable[[], dict[str, Any]] = dict  # states of all callbacks
        self.monitors: Mapping[str, Monitor] = {}
        self.best_states: dict[str, Any] = {}
        self._saved_at = -np.inf
        self._cost = 0.0

    def due(self, epoch: int) -> bool:
        return self.every_epochs is not None and epoch % self.every_epochs == 0

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "kept": list(self.kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.kept = [name for name in state.get("kept", []) if (self.folder / name).exists()]

    def on_new_best(self, state: TrainState, values: Sequence[np.ndarray] | None) -> None:
        if values is None:
            self._write(state, "best")
        else:
            self._write(state, "best", values=values, position=self.best_position(), states=self.best_states)

    def after_call(self, state: TrainState, logs: Mapping[str, Any], *, final: bool = False) -> None:
        if self.due(state.epoch) and state.step_in_epoch == 0 and not final:
            self._keep(state, logs)
        if final or self.every_call or self.clock() - self._saved_at > COST_FACTOR * self._cost:
            begin = self.clock()
            self._write(state, "last")
            self._saved_at = self.clock()
            self._cost = self._saved_at - begin

    def _keep(self, state: TrainState, logs: Mapping[str, Any]) -> None:
        try:
            name = self.pattern.format(**{**logs, "epoch": state.epoch, "step": state.step})
        except (KeyError, ValueError, IndexError) as error:
            raise UserError(
                f"checkpoint.pattern={self.pattern!r} does not fit: {error!r}. Known: epoch, step, "
                f"{', '.join(logs)}."
            ) from error
        self._write(state, name)
        self.kept = [*(k for k in self.kept if k != name), name]
        while self.keep is not None and len(self.kept) > self.keep:
            oldest = self.kept.pop(0)
            shutil.rmtree(self.folder / oldest, ignore_errors=True)

    def _write(
        self,
        state: TrainState,
        name: str,
        *,
        values: Sequence[np.ndarray] | None = None,
        position: Mapping[str, int] | None = None,
        states: Mapping[str, Any] | None = None,
    ) -> None:
        states = dict(states or self.collect())
        for key, monitor in self.monitors.items():
            # A call of several epochs learns the best weights at its end, after the states of the best epoch.
            if monitor.best_weights and monitor.best_weights_epoch == states[key]["best_epoch"]:
                states[key] = {**states[key], "best_weights": list(monitor.best_weights)}
        save(
            state,
            self.folder / name,
            values=values,
            position=position,
            callbacks=states,
            execution=self.execution,
        )
