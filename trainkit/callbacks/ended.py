"""A training that a callback has ended stays ended, when it is resumed with the same callbacks."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

import keras

from trainkit.callbacks.callback_state import BASE_ATTRIBUTES
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.observer import Observer

__all__ = ["Ended"]

NAME = "(ended)"  # among the states of the callbacks
PLAIN = (bool, int, float, str, type(None))


class Ended:
    """Whether callbacks that are not trainkit's have ended a training.

    What makes such a callback stop, nobody else knows. So one that is the same, with the same settings, would
    stop there again. A monitor of ours says by its patience whether it would.

    Args:
        named: All callbacks by name, before the training begins.
        model: The model that they stop.
    """

    def __init__(self, named: Mapping[str, keras.callbacks.Callback], model: keras.Model) -> None:
        self._others = {name: c for name, c in named.items() if not isinstance(c, Observer)}
        self._monitors = [c for c in named.values() if isinstance(c, Monitor)]
        self._model = model
        self._begun = self._settings()
        self._known: dict[str, Any] = {}  # of the training that stays ended

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, among the states of the callbacks: nothing, if the training goes on."""
        ended = self._others and self._model.stop_training
        if not ended or any(monitor.out_of_patience for monitor in self._monitors):
            return {}
        return {NAME: self._known or {"begun": self._begun, "now": self._settings()}}

    def stays(self, states: Mapping[str, Any]) -> bool:
        """Whether a training of which a checkpoint kept these states stays ended; says so, if it is not by
        patience."""
        if any(monitor.out_of_patience for monitor in self._monitors):
            return True
        known = states.get(NAME, {})
        if not known or not any(self._begun.items() >= known[when].items() for when in ("begun", "now")):
            return False
        self._known = known
        warnings.warn(
            f"A callback of yours ({', '.join(self._others)}) ended this training, which therefore stays as "
            "it is. To train on, leave it out or change its settings.",
            stacklevel=2,
        )
        return True

    def _settings(self) -> dict[str, int]:
        """What tells the callbacks from others, by name: a checksum, since a setting may be a secret."""
        return {name: zlib.crc32(repr(_facts(c)).encode()) for name, c in self._others.items()}


def _facts(callback: keras.callbacks.Callback) -> list[tuple[str, Any]]:
    """The plain attributes and the code of a callback."""
    attributes = {**vars(type(callback)), **vars(callback)}
    own = sorted(name for name in attributes if name not in BASE_ATTRIBUTES and not name.startswith("__"))
    known = [(name, attributes[name]) for name in own]
    facts = [(name, value) for name, value in known if isinstance(value, PLAIN)]
    codes = [(name, value.__code__) for name, value in known if isinstance(value, FunctionType)]
    return facts + [(name, _plain_code(code)) for name, code in codes]


def _plain_code(code: CodeType) -> Any:
    return code.co_code, code.co_names, [value for value in code.co_consts if isinstance(value, PLAIN)]
