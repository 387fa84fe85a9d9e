"""The arguments of `trainkit.fit` that are numbers of something, or callbacks, as Keras reads them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras

from trainkit.callbacks.notebook import NotebookTable, in_notebook
from trainkit.callbacks.progress_bar import ProgressBar
from trainkit.core.errors import UserError
from trainkit.trainer.given_objects import as_callbacks

__all__ = ["listed_callbacks", "schedule", "whole_number"]


def whole_number(name: str, value: Any) -> Any:
    """A number of rows, steps or epochs as an int, of whatever type it is; None stays None.

    Raises:
        UserError: for what is no whole number, of which Keras makes nothing either.
    """
    if value is None:
        return None
    try:
        return int(operator.index(value))
    except TypeError:
        raise UserError(f"{name}={value!r}: expected a whole number.") from None


def schedule(validated: bool, every: int | Sequence[int]) -> Callable[[int], bool]:
    """Whether to validate after an epoch (0-based), as Keras reads `validation_freq`."""
    if not validated:
        return lambda epoch: False
    if isinstance(every, int):
        if every < 1:
            raise UserError(f"validation_freq={every}: expected a whole number of at least 1.")
        return lambda epoch: (epoch + 1) % every == 0
    if not isinstance(every, (list, tuple, set, range)):
        raise UserError(
            f"validation_freq={every!r}: expected a whole number, or a list of numbers of epochs."
        )
    wanted = set(every)
    return lambda epoch: epoch + 1 in wanted


def listed_callbacks(callbacks: Any, verbose: Any) -> Any:
    """The user's callbacks, then the history, then the progress bar: Keras's order. A list of Keras's own
    gets neither."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    found = as_callbacks(callbacks)
    if not any(isinstance(c, keras.callbacks.History) for c in found):
        found.append(keras.callbacks.History())
    shown = any(isinstance(c, keras.callbacks.ProgbarLogger) for c in found)
    if shown or verbose not in ("auto", 1, 2):  # what else Keras takes, it shows no bar for
        return found
    return [*found, NotebookTable() if verbose == "auto" and in_notebook() else ProgressBar()]
