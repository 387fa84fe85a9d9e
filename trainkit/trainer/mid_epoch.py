"""What checkpoints hold of a training whose end has changed its state."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict

import keras
import numpy as np

from trainkit.callbacks.callback_list import CallbackList
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.observer import Observer
from trainkit.callbacks.weight_average import WeightAverage
from trainkit.checkpoint import store
from trainkit.checkpoint.members import Record
from trainkit.trainer.setup import TrainSetup

__all__ = ["MidEpoch", "record"]

NOTHING = keras.callbacks.Callback.on_train_end


def record(
    setup: TrainSetup,
    callbacks: CallbackList | None,
    execution: str,
    values: Sequence[np.ndarray] | None = None,
) -> Record:
    """All that a training goes on from, as copies on the host.

    Args:
        setup: What is or was trained.
        callbacks: Those of its last fit; None: there was none.
        execution: Mode of execution of that fit.
        values: Variables in place of the current ones.
    """
    return store.record(
        setup.state,
        values=values,
        callbacks=callbacks.states() if callbacks else None,
        execution=execution,
        step_rows=setup.shape.step_rows,
        rows=setup.source.rows,
        settings=asdict(setup.config),
    )


class MidEpoch:
    """The state that a training goes on from, where its end leaves another.

    An epoch in which `trainer.steps` or a batch hook ends a training is validated, logged and told to the
    callbacks as any other, but a resumed training ends it once more. So what is saved from there on is the
    state before: nobody counts the epoch twice. And at the end of a training callbacks put other weights in
    place, such as the best ones, that do not go with the optimizer's state and the position.

    Args:
        setup: The task made ready.
        callbacks: Those of the fit; its savers save what is kept here.
    """

    def __init__(self, setup: TrainSetup, callbacks: CallbackList) -> None:
        self.setup = setup
        self.callbacks = callbacks
        self._record: Record | None = None
        self._ended: list[int] | None = None

    def keep(self, execution: str) -> None:
        """Note the state, before anything is done for the end of the epoch."""
        self.callbacks.after_call()  # what is due at this step is in the savers' states
        self._record = record(self.setup, self.callbacks, execution)
        for monitor in self.callbacks.monitors:
            if isinstance(monitor, Checkpoints):
                monitor.mid_epoch = self._record

    def keep_end(self, execution: str) -> None:
        """Save for the last time; note the state, if a callback may change it in `on_train_end`."""
        if self._record is None and any(map(_may_change_weights, self.callbacks.callbacks)):
            self._record = record(self.setup, self.callbacks, execution)
        self.callbacks.after_call(final=True)

    def end(self) -> None:
        """The training is over: what its callbacks did to model and optimizer, they have done."""
        if self._record is not None:
            self._ended = self._fingerprint()

    def record(self) -> Record | None:
        """The state that was kept; None: there is none, or model or optimizer were changed since."""
        unchanged = self._ended is None or self._ended == self._fingerprint()
        return self._record if unchanged else None

    def _fingerprint(self) -> list[int]:
        state = self.setup.state
        variables = [*state.groups["model"], *state.groups["optimizer"]]
        return [*state.position().values(), *(zlib.crc32(v.numpy().tobytes()) for v in variables)]


def _may_change_weights(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback may put other weights in place at the end of a training."""
    if isinstance(callback, (EarlyStopping, keras.callbacks.EarlyStopping)):
        return bool(callback.restore_best_weights)
    if isinstance(callback, Observer):
        return isinstance(callback, WeightAverage)
    if "on_train_end" in vars(callback):
        return True
    kind = type(callback)
    return kind.on_train_end is not NOTHING and not kind.__module__.startswith("keras.")
