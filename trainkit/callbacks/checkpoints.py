"""Saves the training while it runs: the last state, the best one, and every so often one that stays."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint import store
from trainkit.checkpoint.members import META, Record, check
from trainkit.checkpoint.train_state import TrainState
from trainkit.checkpoint.writer import Writer
from trainkit.config import CheckpointConfig
from trainkit.config.fields import settings_of
from trainkit.config.validation import check_arguments
from trainkit.core.errors import UserError

__all__ = ["Checkpoints"]

# `last` is saved when so many times its own cost has passed: about 5 % of a run at the most.
COST_FACTOR = 20
PATTERN = "epoch-{epoch:04d}"
STEP_PATTERN = "step-{step:08d}"  # of checkpoints that are due by steps or minutes


class Checkpoints(Monitor):
    """Saves `last`, `best` and, if asked, every so often one that stays, in one folder.

    The training waits while the state is copied; a thread writes it. What cannot be written, as where the
    disk is full, is warned of and tried again; the training goes on, and fails at its end if it was in vain.

    Args:
        folder: `<run>/checkpoints`.
        monitor: Logged value that decides `best`.
        mode: `min`, `max`, or `auto`: the metric says which.
        every_steps: Optimizer steps between checkpoints that stay, named by their step; None: none.
        every_epochs: Epochs between checkpoints that stay, named by `pattern`; None: none.
        every_minutes: Minutes between checkpoints that stay, named by their step; None: none.
        keep: Newest checkpoints of these kinds to keep; None: all.
        keep_every: Of these, every n-th stays for good besides the newest; None: none does.
        pattern: Name of epoch checkpoints: a format text with `{epoch}` or `{step}`, and logged values such
            as `{val_loss:.4f}`.
        every_call: Save `last` whenever it is possible, whatever it costs.
        agree: Makes what the chief's clock decides known to all workers, which all call it equally often:
            saving reads values that lie on all of them, so they save together.
        clock: Seconds; for tests.

    Attributes:
        lost_epochs: Complete epochs whose best one has lost its checkpoint: a resumed training chooses the
            best one among those that follow.
        mid_epoch: The state to save of a training that ends within an epoch, once it does; None: the current.

    Raises:
        UserError: for an argument that is impossible, such as a pattern that would overwrite its own files.
    """

    state_name = "checkpoints"

    def __init__(
        self,
        folder: Path | str,
        monitor: str = "val_loss",
        mode: str = "auto",
        *,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        every_minutes: float | None = None,
        keep: int | None = None,
        keep_every: int | None = None,
        pattern: str = PATTERN,
        every_call: bool = False,
        agree: Callable[[float], float] = float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_arguments(
            self,
            settings_of(CheckpointConfig),
            monitor=monitor,
            mode=mode,
            every_steps=every_steps,
            every_epochs=every_epochs,
            every_minutes=every_minutes,
            keep=keep,
            keep_every=keep_every,
            pattern=pattern,
        )
        super().__init__(monitor, mode)
        self.folder = Path(folder)
        self.every_steps = every_steps
        self.every_epochs = every_epochs
        self.every_minutes = every_minutes
        self.keep = keep
        self.keep_every = keep_every
        self.pattern = pattern
        self.every_call = every_call
        self.agree = agree
        self.clock = clock
        self.kept: list[str] = []
        self.count = 0  # of all checkpoints of these kinds so far
        self.writer = Writer()
        self.execution = ""
        self.collect: Callable[[], dict[str, Any]] = dict  # states of all callbacks
        self.monitors: Mapping[str, Monitor] = {}
        self.best_states: dict[str, Any] = {}
        self.mid_epoch: Record | None = None
        self.lost_epochs = 0
        self._saved_at = -np.inf
        self._cost = 0.0
        self._minutes_from = clock()
        self._step_saved = 0

    def reset(self, direction: str) -> None:
        """Forget an earlier training, but not the files that it left, of which `keep` are to stay."""
        super().reset(direction)
        self.count = 0
        self.best_states = {}
        self.mid_epoch = None
        self._saved_at = -np.inf
        self._step_saved = 0

    def due(self, epoch: int) -> bool:
        return self.every_epochs is not None and epoch % self.every_epochs == 0

    def next_step(self, step: int) -> int | None:
        every = self.every_steps
        return None if every is None else (step // every + 1) * every

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "kept": list(self.kept), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if 0 < self.best_epoch <= self.lost_epochs:
            super().reset(self.rule.mode)
        names = [name for name in state.get("kept", []) if Path(name).name == name]  # each is removed one day
        self.kept = [name for name in names if (self.folder / name / META).is_file()]
        self.count = int(state.get("count", len(self.kept)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # A resumed training ends that epoch again: what it has kept as the best must stay until then.
        if self.mid_epoch is None or not self.best_epoch:
            super().on_epoch_end(epoch, logs)

    def on_new_best(self, state: TrainState, values: Sequence[np.ndarray] | None) -> None:
        if values is None:
            self._save(state, "best")
        else:
            self._save(state, "best", values=values, position=self.best_position(), states=self.best_states)

    def after_call(self, state: TrainState, logs: Mapping[str, Any], *, final: bool = False) -> None:
        if not final:
            self._save_those_that_stay(state, logs)
        self.writer.settle()
        if final or self.every_call or self.agree(self._last_is_due()):
            begin = self.clock()
            self._save(state, "last")
            self._saved_at = self.clock()
            self._cost = self._saved_at - begin
        if final:
            self.writer.finish()

    def _last_is_due(self) -> bool:
        cost = self._cost + self.writer.seconds
        return not self.writer.busy and self.clock() - self._saved_at > COST_FACTOR * cost

    def _save_those_that_stay(self, state: TrainState, logs: Mapping[str, Any]) -> None:
        at_end = state.step_in_epoch == 0
        by_steps = self.every_steps is not None and state.step % self.every_steps == 0
        by_clock = False
        if self.every_minutes is not None:
            by_clock = bool(self.agree(self.clock() - self._minutes_from >= 60 * self.every_minutes))
        names = [self.pattern] if at_end and self.due(state.epoch) else []
        names += [STEP_PATTERN] if (by_steps or by_clock) and state.step != self._step_saved else []
        if by_clock:
            self._minutes_from = self.clock()
        for pattern in names:
            self._step_saved = state.step
            self._stay(state, self._named(pattern, state, logs))

    def _named(self, pattern: str, state: TrainState, logs: Mapping[str, Any]) -> str:
        try:
            return pattern.format(**{**logs, "epoch": state.epoch, "step": state.step})
        except (KeyError, ValueError, IndexError) as error:
            raise UserError(
                f"checkpoint.pattern={self.pattern!r} does not fit: {error!r}. Known: epoch, step, "
                f"{', '.join(logs)}."
            ) from error

    def _stay(self, state: TrainState, name: str) -> None:
        """Save a checkpoint that stays, and once it is good, remove those that are too many."""
        self.count += 1
        for_good = self.keep_every is not None and self.count % self.keep_every == 0
        self.kept = [kept for kept in self.kept if kept != name] + ([] if for_good else [name])
        surplus = [] if self.keep is None else self.kept[: -self.keep]
        self.kept = self.kept[len(surplus) :]
        self._save(state, name, surplus=surplus)

    def _save(
        self,
        state: TrainState,
        name: str,
        *,
        values: Sequence[np.ndarray] | None = None,
        position: Mapping[str, int] | None = None,
        states: Mapping[str, Any] | None = None,
        surplus: Sequence[str] = (),
    ) -> None:
        self.writer.make_room(name)
        record = self.mid_epoch or self._record(state, values, position, states)
        weights = state.trainable
        folder = self.folder

        def write() -> None:
            bad = _not_finite(record, weights)
            if bad is not None:
                warnings.warn(f"Checkpoint {name} is not saved: {bad} is not finite.", stacklevel=2)
                return
            record.write(folder / name)
            if surplus:
                check(folder / name)
            for old in surplus:
                shutil.rmtree(folder / old, ignore_errors=True)

        self.writer.submit(name, write, retry=name in ("last", "best"))

    def _record(
        self,
        state: TrainState,
        values: Sequence[np.ndarray] | None,
        position: Mapping[str, int] | None,
        states: Mapping[str, Any] | None,
    ) -> Record:
        states = dict(states or self.collect())
        for key, monitor in self.monitors.items():
            # A call of several epochs learns the best weights at its end, after the states of the best epoch.
            if monitor.best_weights and monitor.best_weights_epoch == states[key]["best_epoch"]:
                states[key] = {**states[key], "best_weights": list(monitor.best_weights)}
        return store.record(
            state,
            values=values,
            position=position,
            callbacks=states,
            execution=self.execution,
            step_rows=self.run.batch_size,
            rows=self.run.training_rows,
            settings=self.run.settings,
        )


def _not_finite(record: Record, weights: Sequence[int]) -> str | None:
    """The first weight of which nothing can come; None: all are finite."""
    for i in weights:
        variable, values = record.variables[i]
        if not np.isfinite(values.astype(np.float32, copy=False)).all():
            return variable
    return None
