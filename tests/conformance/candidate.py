"""Where the suite looks up what it compares: `keras.Model.fit`, and the `fit` that has to do the same."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import keras

__all__ = [
    "DEFAULT_REFUSED",
    "REFUSED",
    "Fit",
    "candidate",
    "default_candidate",
    "keras_fit",
    "this_part",
]

T = TypeVar("T")

Fit = Callable[..., keras.callbacks.History]

# Cases that the candidate refuses by design, each with words of its one line. Such a case passes only if
# the candidate raises `UserError` with these words and leaves the model's weights as they were.
REFUSED: dict[str, str] = {}
# Those that only the default mode refuses.
DEFAULT_REFUSED = {
    "optimizers.schedule_free_adamw": "ScheduleFreeAdamW is not built",
    "own_functions.an_optimizer_set_between_two_trainings": "model.optimizer was replaced after a training",
}


def keras_fit(model: keras.Model, *args: Any, **given: Any) -> keras.callbacks.History:
    """`model.fit`, called as `trainkit.fit` is."""
    return model.fit(*args, **given)


def candidate() -> Fit:
    """The `fit` under test: `trainkit.fit` with Keras's kernels, where it exists.

    `TRAINKIT_CONFORMANCE=keras` puts `model.fit` itself on this side too. Then every case must pass: what
    fails is not deterministic in Keras, or a fault of the suite.
    """
    missing = importlib.util.find_spec("trainkit.trainer.drop_in") is None
    if missing or os.environ.get("TRAINKIT_CONFORMANCE") == "keras":
        return keras_fit
    drop_in = importlib.import_module("trainkit.trainer.drop_in")
    return partial(drop_in.fit, exact=True)


def default_candidate() -> Fit:
    """The `fit` under test as users call it: its own program, which rounds otherwise."""
    return importlib.import_module("trainkit.trainer.drop_in").fit


def this_part(cases: Sequence[T]) -> Sequence[T]:
    """The cases of this process: each twentieth, or as `TRAINKIT_CONFORMANCE_PART` says: `1/1` for all.

    A training of a few rows is tracing, which takes one core: two processes with 1/2 and 2/2 need half the
    time.
    """
    number, _, of = os.environ.get("TRAINKIT_CONFORMANCE_PART", "1/20").partition("/")
    return cases[int(number) - 1 :: int(of)]
