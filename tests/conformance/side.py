"""One side of a comparison: trains, and notes all that the training did and left behind."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.conformance.candidate import Fit
from tests.conformance.compare import Noted
from tests.conformance.files import contents
from tests.conformance.recorder import BatchRecorder, EpochRecorder, optimizers_of, slots_of

__all__ = ["Refused", "Side", "run"]

SEED = 11
RECORDERS = {"batches": BatchRecorder, "epochs": EpochRecorder}


class Refused(AssertionError):
    """A case says that Keras refuses something which it takes."""


class Side:
    """Trains by one `fit` and notes what can be seen of it.

    Args:
        train: The `fit` of this side, called as `train(model, x, y, …)`.
        folder: An empty folder of this side alone.
    """

    def __init__(self, train: Fit, folder: Path) -> None:
        self.train = train
        self.folder = folder
        self.noted: Noted = []
        self.refusals: list[BaseException] = []

    def note(self, name: str, value: Any) -> None:
        """Whatever `value` is, it has to be the same on the other side."""
        self.noted.append((name, plain(value)))

    def fit(
        self,
        model: keras.Model,
        *args: Any,
        record: str | None = "epochs",
        callbacks: list[Any] | None = None,
        counted: bool = True,
        **given: Any,
    ) -> keras.callbacks.History:
        """Train in the rows' own order, silently, and note the training.

        Args:
            model: A compiled model.
            record: `batches` notes every hook, `epochs` leaves the loop free inside an epoch, and None, free
                over epochs.
            callbacks: The case's own, which are called before the recorder.
            counted: Whether the optimizer's count of steps is compared. Where data end unannounced, Keras
                counts a step too many (`test_surprises.py`), and a loop need not.
            **given: Arguments of `model.fit`.
        """
        listed = list(callbacks or [])
        if record:
            listed.append(RECORDERS[record](self.note, counted))
        given = {"verbose": 0, "shuffle": False, "callbacks": listed or None} | given
        history = self.train(model, *args, **given)
        self.note_training(model, history, counted)
        return history

    def note_training(
        self, model: keras.Model, history: keras.callbacks.History, counted: bool = True
    ) -> None:
        """Note the history that `fit` returned and the state that the model is left in."""
        self.note("returns a History", isinstance(history, keras.callbacks.History))
        self.note("the History is the model's", model.history is history)
        self.note("history", history.history)
        self.note("history.epoch", history.epoch)
        self.note("history.params", history.params)
        self.note_model(model, counted)

    def note_model(self, model: keras.Model, counted: bool = True) -> None:
        """Note the model's variables by path, its optimizer's by name, and the wish to stop."""
        self.note("stop_training", model.stop_training)
        self.note("weights", [(variable.path, variable) for variable in model.variables])
        for optimizer in optimizers_of(model.optimizer):
            slots = slots_of(optimizer, counted)
            self.note(f"optimizer {optimizer.name}", [(v.name, np.asarray(v)) for v in slots])

    def note_files(self, folder: Path) -> None:
        """Note the names and contents of all files in `folder`."""
        self.note("files", contents(folder))

    def refuses(self, train: Callable[[], Any], model: keras.Model | None = None) -> None:
        """`train` has to raise here and on the other side.

        Args:
            train: Calls `fit`.
            model: Its weights have to be as before. Leave it out where Keras notices only after some steps.
        """
        before = [np.array(v) for v in model.variables] if model is not None else []
        noted = len(self.noted)
        try:
            train()
        except Exception as refusal:
            self.refusals.append(refusal)
        else:
            raise Refused("was expected to be refused, and was taken")
        del self.noted[noted:]  # how far it came is free: the sooner the better
        after = [np.array(v) for v in model.variables] if model is not None else []
        kept = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True))
        self.note("weights are as before the refusal", kept)

    def printed(self, train: Callable[[], Any]) -> str:
        """What `train` prints."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            train()
        return out.getvalue()


def plain(value: Any) -> Any:
    """`value` with every tensor and variable as an array of its own, and with functions by their names."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else [*map(plain, value)]
    if isinstance(value, (tf.Variable, keras.Variable)) or tf.is_tensor(value):
        return np.array(value)
    if isinstance(value, np.ndarray):
        return value.copy()
    return value


def run(case: Callable[[Side], None], train: Fit, folder: Path) -> Side:
    """Run `case` on one side, from a clean Keras and fixed seeds."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(SEED)
    folder.mkdir(parents=True)
    side = Side(train, folder)
    policy = keras.config.dtype_policy()
    try:
        case(side)
    finally:
        keras.config.set_dtype_policy(policy)
    return side
